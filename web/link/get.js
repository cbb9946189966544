// A link with files (docs/PROTOCOL.md, "Links"): lists them, downloads them, compares each piece with the sender's
// hashes, and saves them.

import { $, Trouble, drawProgress, insist, join, link, sha256, show, sizeText, status, t, utf8 } from "./link.js";

const digest = globalThis.crypto?.subtle
  ? async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data))
  : async (data) => sha256(data);
const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// ---- the tree of a file (docs/PROTOCOL.md, "Trees") ----

const LEAF = 16 * 1024;
async function fold(hashes, width, filler) {
  while (width > 1) {
    const parents = [];
    for (let i = 0; i < hashes.length; i += 2) parents.push(await digest(join(hashes[i], hashes[i + 1] ?? filler)));
    filler = await digest(join(filler, filler));
    hashes = parents;
    width /= 2;
  }
  return hashes[0];
}
function power(n) {
  let p = 1;
  while (p < n) p *= 2;
  return p;
}
async function hashOfChunk(bytes, leaves) {
  const hashes = [];
  for (let at = 0; at < bytes.length; at += LEAF) hashes.push(await digest(bytes.subarray(at, at + LEAF)));
  return fold(hashes, leaves, new Uint8Array(32));
}
async function isLayerOf(hashes, chunkSize, root) {
  let filler = new Uint8Array(32);
  for (let width = LEAF; width < chunkSize; width *= 2) filler = await digest(join(filler, filler));
  return equal(await fold(hashes, power(hashes.length), filler), root);
}

// ---- downloading ----

const AHEAD = 8 << 20, PART = 8 << 20;
// What is there of a file stays over a new connection. Parts are Blobs, which browsers may keep on the disk.
class Download {
  constructor(file) {
    Object.assign(this, { file, parts: [], pending: [], pendingSize: 0, next: 0, done: 0, crc: -1 });
  }
  async begin(link) {
    const { root, size } = this.file;
    if (this.layer || size === 0) return;
    this.chunk = await link.chunkSize(root);
    if (this.chunk < LEAF || this.chunk !== power(this.chunk)) throw new Trouble("changed");
    const count = Math.ceil(size / this.chunk);
    const layer = count > 1 ? await link.layer(root, count) : [root];
    if (count > 1 && !(await isLayerOf(layer, this.chunk, root))) throw new Trouble("changed");
    this.layer = layer;
  }
  async check(bytes, index) {
    const leaves = this.layer.length > 1 ? this.chunk / LEAF : power(Math.ceil(bytes.length / LEAF));
    if (!equal(await hashOfChunk(bytes, leaves), this.layer[index])) throw new Trouble("changed");
  }
  keep(bytes) {
    this.crc = crc32(this.crc, bytes);
    this.pending.push(bytes);
    this.pendingSize += bytes.length;
    this.done += bytes.length;
    if (this.pendingSize < PART && this.done < this.file.size) return;
    this.parts.push(new Blob(this.pending));
    this.pending = [];
    this.pendingSize = 0;
  }
  async run(link, onBytes) {
    await this.begin(link);
    const count = this.layer?.length ?? 0, ahead = Math.max(1, Math.floor(AHEAD / this.chunk)), asked = [];
    for (let index = this.next, ask = this.next; index < count; index++) {
      for (; ask < count && ask < index + ahead; ask++) {
        const offset = ask * this.chunk;
        const answer = link.get(this.file.root, offset, Math.min(this.chunk, this.file.size - offset), onBytes);
        answer.catch(() => {});
        asked.push(answer);
      }
      const bytes = await asked.shift();
      await this.check(bytes, index);
      this.keep(bytes);
      this.next = index + 1;
    }
  }
}
function save(name, parts) {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob(parts));
  a.download = name;
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout((url) => URL.revokeObjectURL(url), 600000, a.href);
}

// ---- several files: one archive, since browsers ask before a page saves a second file ----

const CRC = Int32Array.from({ length: 256 }, (_, n) => {
  for (let i = 0; i < 8; i++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
function crc32(crc, bytes) {
  for (let i = 0; i < bytes.length; i++) crc = CRC[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return crc;
}
const little = (length, value) => Uint8Array.from({ length }, (_, i) => Math.floor(value / 256 ** i) % 256);
// Stored, with ZIP64 for each entry: sizes and offsets may be of any length.
function zip(list) {
  const parts = [], central = [];
  let at = 0, centralSize = 0;
  for (const { file, parts: content, crc } of list) {
    const name = utf8(file.shown), when = new Date(file.mtime * 1000), year = Math.max(0, when.getFullYear() - 1980);
    const time = (when.getHours() << 11) | (when.getMinutes() << 5) | (when.getSeconds() >> 1);
    const day = year ? (Math.min(year, 127) << 9) | ((when.getMonth() + 1) << 5) | when.getDate() : 33;
    const head = [little(2, 45), little(2, 0x800), little(2, 0), little(2, time), little(2, day), little(4, ~crc >>> 0), little(8, 2 ** 64 - 1).fill(255), little(2, name.length)];
    const sizes = join(little(8, file.size), little(8, file.size));
    const local = join(little(4, 0x04034b50), ...head, little(2, 20), name, little(2, 1), little(2, 16), sizes);
    const entry = join(little(4, 0x02014b50), little(2, 45), ...head, little(2, 28), little(10, 0), Uint8Array.of(255, 255, 255, 255), name, little(2, 1), little(2, 24), sizes, little(8, at));
    parts.push(local, ...content);
    central.push(entry);
    at += local.length + file.size;
    centralSize += entry.length;
  }
  const count = little(8, list.length), place = join(little(8, centralSize), little(8, at));
  return [...parts, ...central,
    join(little(4, 0x06064b50), little(8, 44), little(2, 45), little(2, 45), little(8, 0), count, count, place),
    join(little(4, 0x07064b50), little(4, 0), little(8, at + centralSize), little(4, 1)),
    join(little(4, 0x06054b50), little(4, 0), new Uint8Array(12).fill(255), little(2, 0))];
}

// ---- the page ----

let files;
const downloads = new Map();
function draw() {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if ($("title").textContent === "p2p") $("title").textContent = document.title = t("files");
  $("list").replaceChildren(...files.map((file) => {
    const row = document.createElement("li"), name = document.createElement("span"), size = document.createElement("span");
    name.textContent = file.shown;
    name.dir = "auto";
    size.className = "size";
    size.textContent = sizeText(file.size);
    row.append(name, size);
    if (files.length > 1) {
      const one = document.createElement("button");
      one.textContent = t("get");
      one.setAttribute("aria-label", `${t("get")}: ${file.shown}`);
      one.onclick = () => load([file]);
      row.append(one);
    }
    return row;
  }));
  show("files", "");
  $("all").textContent = t(files.length > 1 ? "all" : "one", sizeText(total));
  $("all").onclick = () => load(files);
  status(files.some((file) => file.size > 2e9) ? t("big") : "");
  $("main").setAttribute("aria-busy", "false");
}
async function loadOne(file, tick) {
  const download = downloads.get(file) ?? new Download(file);
  downloads.set(file, download);
  await insist(() => download.run(link, tick), () => download.done);
  return download;
}
async function load(wanted) {
  const total = wanted.reduce((sum, file) => sum + file.size, 0), began = Date.now();
  let received = 0, drawn = 0;
  const buttons = document.querySelectorAll("#files button");
  buttons.forEach((button) => (button.disabled = true));
  show("progress", "");
  try {
    const got = [];
    for (const file of wanted) {
      got.push(await loadOne(file, (bytes) => {
        received += bytes;
        if (Date.now() < drawn + 250) return;
        drawn = Date.now();
        drawProgress(file.shown, received, total, began);
      }));
    }
    if (got.length > 1) save(`${$("title").textContent}.zip`, zip(got));
    else save(wanted[0].shown.split("/").pop(), got[0].parts);
    $("progress").value = 1;
    show("speed");
    wanted.forEach((file) => (file.isDone = true));
    if (files.every((file) => file.isDone)) await link.close();
    status(t("done"), "ok");
    wanted.forEach((file) => downloads.delete(file));
  } catch (error) {
    status(error instanceof Trouble ? error.message : t("failed", error.message), "bad");
  }
  buttons.forEach((button) => (button.disabled = false));
}
export async function begin() {
  files = (await link.list()).map((file) => ({ ...file, shown: file.name.replace(/^sent-[0-9a-f]{8}\//, "") }));
  if (files.length === 0) return status(t("none"));
  return draw();
}
