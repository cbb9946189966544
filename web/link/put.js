// A link that takes files (docs/PROTOCOL.md, "Links that take files"): the page names files, the other device asks
// for their bytes, and compares its SHA-256 of each file with ours before it stores the file.

import { $, Trouble, begin256, block, drawProgress, insist, join, link, number32, number64, sha256, show, sizeText, status, t, utf8 } from "./link.js";

const PART = 64 * 1024, BUFFERED = 1 << 20;
const RESULTS = ["stored", "noName", "noRoom", "noRoom"];

// Bytes are read when they are asked for, so a file of any size needs little memory.
class Upload {
  constructor(file, name) {
    Object.assign(this, { file, name, sent: 0, state: "" });
    this.forget();
  }
  forget() {
    Object.assign(this, { h: begin256(), hashed: 0, digest: this.file.size ? null : sha256(new Uint8Array()) });
  }
  async read(offset, length) {
    const bytes = new Uint8Array(await this.file.slice(offset, offset + length).arrayBuffer());
    if (bytes.length !== length) throw new Trouble("failed", this.name);
    return bytes;
  }
  hash(bytes) {
    const whole = bytes.length & ~63;
    for (let at = 0; at < whole; at += 64) block(this.h, bytes, at);
    this.hashed += bytes.length;
    if (this.hashed === this.file.size) this.digest = sha256(bytes.subarray(whole), this.h, this.hashed - (bytes.length & 63));
  }
  // What the other device has already, from an earlier connection, is read only for the hash.
  async hashTo(end) {
    while (this.hashed < end) this.hash(await this.read(this.hashed, Math.min(PART, this.file.size - this.hashed)));
  }
  async answer({ req, offset, length }, number, tick) {
    const { size } = this.file;
    for (let at = 0; at < length; at += PART) {
      const from = offset + at, bytes = await this.read(from, Math.min(PART, length - at));
      await this.hashTo(from);
      if (this.hashed === from && (bytes.length === PART || from + bytes.length === size)) this.hash(bytes);
      await hasRoom();
      link.send(0x15, join(number32(req), Uint8Array.of(at + PART < length ? 0 : 1), number32(at), bytes));
      this.sent = from + bytes.length;
      tick();
    }
    if (offset + length < size) return;
    await this.hashTo(size);
    link.send(0x43, join(number32(number), this.digest));
  }
  async run(tick) {
    const { size, lastModified } = this.file, name = utf8(this.name), gets = [];
    let isOver = false, wake = () => {};
    link.onGet = (m) => {
      const req = m.u32();
      m.take(32);
      gets.push({ req, offset: m.u64(), length: m.u32() });
      wake();
    };
    const about = join(number64(size), number64(Math.floor(lastModified / 1000)), number32(name.length).subarray(2), name);
    const stored = link.request(0x41, about, (m, resolve) => (resolve({ result: m.u8(), name: m.text() }), true));
    const number = link.last;
    stored.finally(() => {
      isOver = true;
      wake();
    }).catch(() => {});
    while (!isOver) {
      if (gets.length) await this.answer(gets.shift(), number, tick);
      else await new Promise((resolve) => (wake = resolve));
    }
    return stored;
  }
}
function hasRoom() {
  const { channel } = link;
  if (link.error) throw link.error;
  if (channel.bufferedAmount < BUFFERED) return null;
  channel.bufferedAmountLowThreshold = BUFFERED / 2;
  return Promise.race([link.ended, new Promise((resolve) => (channel.onbufferedamountlow = resolve))]);
}

// ---- the page ----

const uploads = [];
let isRunning = false;
const total = () => uploads.reduce((sum, upload) => sum + upload.file.size, 0);
const done = () => uploads.reduce((sum, upload) => sum + upload.sent, 0);

function add(list) {
  for (const [file, name] of list) {
    const upload = new Upload(file, name), row = document.createElement("li");
    row.append(document.createElement("span"), (upload.shown = document.createElement("span")));
    row.firstChild.textContent = name;
    row.firstChild.dir = "auto";
    upload.shown.className = "size";
    upload.shown.textContent = sizeText(file.size);
    $("list").append(row);
    uploads.push(upload);
  }
  if (uploads.length) show("files", "");
  send();
}
async function sendOne(upload, began) {
  let drawn = 0;
  const tick = () => {
    if (Date.now() < drawn + 250) return;
    drawn = Date.now();
    upload.shown.textContent = `${Math.floor((upload.sent * 100) / upload.file.size)} %`;
    drawProgress(upload.name, done(), total(), began);
  };
  for (let tries = 0; tries < 2; tries++) {
    const { result, name } = await insist(() => upload.run(tick), () => upload.sent);
    upload.state = RESULTS[result] ?? "notStored";
    upload.shown.textContent = `${t(upload.state)}${name && name !== upload.name ? ` (${name})` : ""}`;
    upload.shown.className = result ? "bad" : "ok";
    upload.sent = upload.file.size;
    if (result !== 4) return; // it has changed since an earlier try: from the beginning
    upload.forget();
  }
}
async function send() {
  if (isRunning) return;
  isRunning = true;
  $("all").disabled = true;
  show("progress", "");
  const began = Date.now() - 1;
  let failed;
  for (let upload; !failed && (upload = uploads.find((one) => !one.state)); ) {
    try {
      await sendOne(upload, began);
    } catch (error) {
      failed = error;
      upload.state = "";
    }
  }
  isRunning = false;
  show("speed");
  if (failed) return fail(failed);
  $("progress").value = 1;
  $("all").disabled = false;
  const isGood = uploads.every((upload) => upload.state === "stored");
  status(isGood ? t("allStored") : t("notStored"), isGood ? "ok" : "bad");
}
function fail(error) {
  status(error instanceof Trouble ? error.message : t("failed", error.message), "bad");
  show("again", t("again"));
  $("again").onclick = () => {
    show("again");
    status("");
    send();
  };
}
async function finish() {
  $("drop").remove();
  $("all").disabled = true;
  await link.close();
  show("files", "");
  show("all");
  status(t("thanks"), "ok");
}

// What was dropped: files, and all that is in folders.
async function walk(entry, path, into) {
  const ask = (call) => new Promise((resolve, reject) => call(resolve, reject));
  if (entry.isFile) return into.push([await ask((y, n) => entry.file(y, n)), path + entry.name]);
  for (const reader = entry.createReader(); ; ) {
    const some = await ask((y, n) => reader.readEntries(y, n));
    if (some.length === 0) return null;
    for (const one of some) await walk(one, `${path}${entry.name}/`, into);
  }
}
async function drop(event) {
  event.preventDefault();
  $("drop").classList.remove("over");
  const into = [], entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  for (const entry of entries) await walk(entry, "", into);
  add(entries.length ? into : [...event.dataTransfer.files].map((file) => [file, file.name]));
}
function chooser(label, isFolder) {
  const input = document.createElement("input"), button = document.createElement("button");
  Object.assign(input, { type: "file", multiple: true, webkitdirectory: isFolder, hidden: true, id: isFolder ? "folder" : "input" });
  input.onchange = () => {
    add([...input.files].map((file) => [file, file.webkitRelativePath || file.name]));
    input.value = "";
  };
  button.textContent = t(label);
  button.className = isFolder ? "" : "main";
  button.onclick = () => input.click();
  return [button, input];
}
export function begin(welcome) {
  const { left } = welcome;
  if ($("title").textContent === "p2p") $("title").textContent = document.title = t("put");
  const zone = document.createElement("section"), text = document.createElement("p");
  zone.id = "drop";
  text.textContent = t("drop") + (left < 2 ** 60 ? ` ${t("left", sizeText(left))}` : "");
  zone.append(text, ...chooser("choose", false));
  if ("webkitdirectory" in HTMLInputElement.prototype) zone.append(...chooser("folder", true));
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = drop;
  $("files").before(zone);
  $("list").replaceChildren();
  $("all").textContent = t("finish");
  $("all").onclick = finish;
  status("");
  $("main").setAttribute("aria-busy", "false");
}
