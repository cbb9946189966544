// The page for guests of a link (docs/PROTOCOL.md, "Links"). The secret is behind the '#' of the address, which
// browsers never send. The page opens a channel to the sender's device, by messages in boxes at this registry
// that carry a MAC under the secret, downloads the files of the link, and checks each piece.

// ---- texts ----

const LANGUAGES = ["en", "de", "es", "fr", "zh", "ar"];
const language = (navigator.languages || []).map((l) => l.slice(0, 2)).find((l) => LANGUAGES.includes(l)) || "en";
const { default: TEXTS } = await import(`./${language}.js`);
const t = (key, ...values) => TEXTS[key].replace(/\{(\d)\}/g, (_, i) => values[i]);
const number = (value, digits) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
function sizeText(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    unit++;
  }
  return `${number(bytes, unit ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}
function timeText(seconds) {
  if (!Number.isFinite(seconds)) return "…";
  return seconds < 90 ? `${number(Math.ceil(seconds), 0)} s` : `${number(Math.ceil(seconds / 60), 0)} min`;
}

// ---- bytes ----

const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const random = (length) => crypto.getRandomValues(new Uint8Array(length));
function join(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}
function number32(value) {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
const number64 = (value) => join(number32(Math.floor(value / 2 ** 32)), number32(value % 2 ** 32));
function fromBase64(text) {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) return null;
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

// ---- SHA-256: browsers hide theirs from pages without https ----

const K = new Uint32Array(64);
const START = new Uint32Array(8);
for (let n = 2, i = 0; i < 64; n++) {
  let isPrime = true;
  for (let d = 2; d * d <= n; d++) isPrime = isPrime && n % d !== 0;
  if (!isPrime) continue;
  if (i < 8) START[i] = (n ** (1 / 2) % 1) * 2 ** 32;
  K[i++] = (n ** (1 / 3) % 1) * 2 ** 32;
}
const W = new Int32Array(64);
const begin256 = () => new Int32Array(START);
function block(h, data, at) {
  for (let i = 0; i < 16; i++, at += 4) W[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, z] = h;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (z + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    z = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += z;
}
// `h` and `before`: what was hashed before it, a multiple of 64 bytes.
function sha256(data, h = begin256(), before = 0) {
  const whole = data.length & ~63, rest = data.length - whole;
  for (let at = 0; at < whole; at += 64) block(h, data, at);
  const last = new Uint8Array(rest < 56 ? 64 : 128);
  last.set(data.subarray(whole));
  last[rest] = 0x80;
  last.set(number64((before + data.length) * 8), last.length - 8);
  for (let at = 0; at < last.length; at += 64) block(h, last, at);
  return join(...Array.from(h, number32));
}
function hmac(key, data) {
  const pad = (byte) => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ byte);
  return sha256(join(pad(0x5c), sha256(join(pad(0x36), data))));
}

// ---- the link ----

function keysOf(secret) {
  const prk = hmac(new Uint8Array(32), secret);
  const derive = (label) => hmac(prk, join(utf8(label), Uint8Array.of(1)));
  return { box: hex(derive("p2p link box").subarray(0, 16)), mac: derive("p2p link mac") };
}
const sealed = (keys, lines) => hex(hmac(keys.mac, utf8(lines.map((line) => `${line}\n`).join(""))));
const pinOf = (keys, pin) => hmac(keys.mac, join(utf8(`p2p link pin${pin}`), Uint8Array.of(1))).subarray(0, 16);

// ---- meeting the peer ----

class Trouble extends Error {
  constructor(key, ...values) {
    super(t(key, ...values));
    this.key = key;
  }
}
async function ask(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  if (answer.status === 404) throw new Trouble("gone");
  if (answer.status === 429 || answer.status === 507) throw new Trouble("busy");
  if (!answer.ok) throw new Trouble("failed", `HTTP ${answer.status}`);
  return answer;
}
function toText(end) {
  const candidates = end.candidates.map((text, i) => {
    const [ip, port, kind, priority] = text.split(" ");
    return `a=candidate:${i + 1} 1 udp ${priority} ${ip} ${port} typ ${kind}${kind === "host" ? "" : " raddr 0.0.0.0 rport 9"}`;
  });
  return [
    "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0",
    `a=ice-ufrag:${end.ufrag}`, `a=ice-pwd:${end.pwd}`,
    `a=fingerprint:sha-256 ${end.fingerprint.toUpperCase().match(/../g).join(":")}`,
    "a=setup:active", "a=sctp-port:5000", "a=max-message-size:262144", ...candidates, "a=end-of-candidates", "",
  ].join("\r\n");
}
function fromText(text) {
  const value = (name) => text.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
  return {
    ufrag: value("ice-ufrag"),
    pwd: value("ice-pwd"),
    fingerprint: value("fingerprint").split(" ")[1].replaceAll(":", "").toLowerCase(),
    // Those of relays come last, and a peer takes 16.
    candidates: [...text.matchAll(/^a=candidate:\S+ 1 udp (\d+) (\S+) (\d+) typ (\S+)/gim)]
      .map(([, priority, ip, port, kind]) => `${ip} ${port} ${kind} ${priority}`)
      .sort((a, b) => b.includes("relay") - a.includes("relay"))
      .slice(0, 16),
  };
}
function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, 3000);
  });
}
const linesOf = (end) => [end.ufrag, end.pwd, end.fingerprint, ...end.candidates];
const answerLines = (m, session, own) => ["p2p link answer", session, own.fingerprint, m.from, ...linesOf(m)];
function isAnswer(m, keys, session, own) {
  const texts = [m.ufrag, m.pwd, m.fingerprint, m.from, ...(Array.isArray(m.candidates) ? m.candidates : [null])];
  return m.type === "host" && m.session === session && texts.every((text) => typeof text === "string" && /^[\x20-\x7e]+$/.test(text)) &&
    m.mac === sealed(keys, answerLines(m, session, own));
}
// Whoever has the link could make the MAC. The signature is the sender's alone: its id is the hash of its key.
async function isSigned(m, session, own) {
  if (!globalThis.crypto?.subtle || !(m.key || m.sig)) return false;
  try {
    if (hex(sha256(utf8(m.key))) !== m.from) throw 0;
    const [key, signature] = [m.key.replace(/-----[ A-Z]+-----/g, ""), m.sig].map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    const pss = { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 };
    const right = await crypto.subtle.importKey("spki", key, pss, false, ["verify"]);
    const lines = utf8(`p2p/2 link\0${answerLines(m, session, own).map((line) => `${line}\n`).join("")}`);
    if (await crypto.subtle.verify(pss, right, signature, lines)) return true;
  } catch {}
  throw new Trouble("forged");
}
async function waitForAnswer(reply, check) {
  const end = Date.now() + 25000;
  for (let after = 0; Date.now() < end; ) {
    const { messages, next } = await (await ask(`box/${reply}?after=${after}&wait=10`)).json();
    const found = messages.map((message) => message.m).find(check);
    if (found) return found;
    after = next;
  }
  throw new Trouble("gone");
}
function guestId(box) {
  try {
    const kept = sessionStorage.getItem(box) || hex(random(16));
    sessionStorage.setItem(box, kept);
    return kept;
  } catch {
    return (guestId.last ??= hex(random(16)));
  }
}
async function meet(keys, say) {
  if (!globalThis.RTCPeerConnection) throw new Trouble("unsupported");
  const first = await ask(`reach?box=${keys.box}`); // with the number, there is a relay for us
  const now = Date.parse(first.headers.get("Date")) || Date.now();
  const reach = await first.json();
  const servers = [...(reach.stun || []).map((at) => ({ urls: `stun:${at}` })), ...(reach.turn || [])];
  const pc = new RTCPeerConnection({ iceServers: servers });
  try {
    const channel = new Promise((resolve) => (pc.ondatachannel = (event) => resolve(event.channel)));
    pc.createDataChannel("", { negotiated: true, id: 100 }); // only that the offer has a data channel
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    const own = fromText(pc.localDescription.sdp), session = hex(random(16)), reply = hex(random(16));
    const expires = Math.floor(now / 1000) + 30, guest = guestId(keys.box);
    const mac = sealed(keys, ["p2p link call", session, guest, keys.box, reply, expires, ...linesOf(own)]);
    const call = { v: 1, type: "guest", session, guest, to: keys.box, reply, expires, setup: "passive", ...own, mac };
    say("asks");
    await ask(`box/${reply}?after=0&wait=0`); // it exists from now on
    await ask(`box/${keys.box}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(call) });
    const answer = await waitForAnswer(reply, (m) => isAnswer(m, keys, session, own));
    ask(`box/${reply}`, { method: "DELETE" }).catch(() => {});
    const proven = await isSigned(answer, session, own);
    say("opens");
    await pc.setRemoteDescription({ type: "answer", sdp: toText(answer) });
    const failed = new Promise((_, reject) => {
      pc.addEventListener("connectionstatechange", () => ["failed", "closed"].includes(pc.connectionState) && reject(new Trouble("gone")));
      setTimeout(() => reject(new Trouble("gone")), 30000);
    });
    failed.catch(() => {});
    return { pc, proven, peer: answer.from, channel: await Promise.race([channel, failed]) };
  } catch (error) {
    pc.close();
    throw error;
  }
}

// ---- messages ----

const FRAME_MAX = 70000, ERRORS = { 1: "gone", 4: "used", 5: "busy", 6: "changed" };
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }
  u8() { return this.view.getUint8(this.at++); }
  u16() { return this.view.getUint16((this.at += 2) - 2); }
  u32() { return this.view.getUint32((this.at += 4) - 4); }
  u64() { return this.u32() * 2 ** 32 + this.u32(); }
  take(length) {
    if (this.at + length > this.bytes.length) throw new RangeError("a message is too short");
    return this.bytes.subarray(this.at, (this.at += length));
  }
  text() { return new TextDecoder().decode(this.take(this.u16())); }
}
class Link {
  constructor({ pc, channel, peer, proven }) {
    Object.assign(this, { pc, channel, peer, proven, waiting: new Map(), last: 0, head: new Uint8Array(4), filled: 0, frame: null });
    this.welcome = new Promise((resolve, reject) => Object.assign(this, { onWelcome: resolve, onLost: reject }));
    this.welcome.catch(() => {});
    this.ended = new Promise((resolve) => (this.onEnd = resolve));
    channel.binaryType = "arraybuffer";
    channel.onmessage = (event) => {
      try {
        this.take(new Uint8Array(event.data));
      } catch (error) {
        this.lose(error);
      }
    };
    channel.onclose = () => this.lose(new Trouble("lost"));
    pc.addEventListener("connectionstatechange", () => pc.connectionState === "failed" && this.lose(new Trouble("lost")));
  }
  lose(error) {
    this.error ??= error;
    this.onEnd();
    this.onLost(error);
    for (const request of this.waiting.values()) request.fail(error);
    this.waiting.clear();
    this.pc.close();
  }
  // The borders of messages mean nothing: it is a stream of frames.
  take(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const into = this.frame ?? this.head;
      const part = bytes.subarray(at, at + into.length - this.filled);
      into.set(part, this.filled);
      this.filled += part.length;
      at += part.length;
      if (this.filled < into.length) return;
      this.filled = 0;
      if (this.frame) {
        const frame = this.frame;
        this.frame = null;
        this.handle(new Reader(frame));
      } else {
        const length = new Reader(this.head).u32();
        if (length < 1 || length > FRAME_MAX) throw new RangeError("a message is too long");
        this.frame = new Uint8Array(length);
      }
    }
  }
  handle(m) {
    const type = m.u8();
    if (type === 0x40) {
      m.u8();
      const mode = m.u8(), flags = m.u8(), expires = m.u64(), left = m.u64();
      this.onWelcome({ mode, hasPin: (flags & 1) !== 0, isSigned: (flags & 2) !== 0, expires, left, title: m.text(), name: m.text() });
    } else if (type === 0x14) this.onGet?.(m);
    else if (type === 0x07) this.lose(new Trouble("lost"));
    else if (type === 0x1e) this.refuse(m.u32(), m.u16(), m.text());
    else if (type !== 0x1c) {
      const req = m.u32(), request = this.waiting.get(req);
      if (request?.take(m, type)) this.waiting.delete(req);
    }
  }
  refuse(req, code, text) {
    const request = this.waiting.get(req);
    this.waiting.delete(req);
    request?.fail(Object.assign(ERRORS[code] ? new Trouble(ERRORS[code]) : new Trouble("failed", text), { code }));
  }
  // `take` gets each answer and returns true for the last one.
  request(type, body, take) {
    if (this.error) return Promise.reject(this.error);
    const req = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(req, { take: (m, kind) => take(m, resolve, kind), fail: reject });
      this.send(type, join(number32(req), body));
    });
  }
  send(type, body) {
    this.channel.send(join(number32(1 + body.length), Uint8Array.of(type), body));
  }
  ticket(pin) {
    return this.request(0x26, pin, (_, resolve) => (resolve(), true));
  }
  async list() {
    const files = [];
    for (let cursor = ""; ; ) {
      const text = utf8(cursor);
      const next = await this.request(0x17, join(number32(text.length).subarray(2), text), (m, resolve) => {
        for (let n = m.u16(); n > 0; n--) files.push({ root: m.take(32), size: m.u64(), mtime: m.u64(), name: m.text() });
        resolve(m.text());
        return true;
      });
      if (!next || next <= cursor) return files.filter((file) => !file.name.endsWith("/"));
      cursor = next;
    }
  }
  chunkSize(root) {
    return this.request(0x10, join(Uint8Array.of(1, 0, 32), root), (m, resolve) => {
      m.take(32);
      m.u64();
      resolve(m.u32());
      return true;
    });
  }
  layer(root, count) {
    const hashes = [];
    return this.request(0x12, join(root, number64(0), number32(count)), (m, resolve) => {
      m.u64();
      for (let n = m.u32(); n > 0 && hashes.length < count; n--) hashes.push(m.take(32));
      return hashes.length === count && (resolve(hashes), true);
    });
  }
  get(root, offset, length, onBytes) {
    const bytes = new Uint8Array(length);
    let got = 0;
    return this.request(0x14, join(root, number64(offset), number32(length), Uint8Array.of(0)), (m, resolve) => {
      const flags = m.u8(), at = m.u32(), part = m.take(m.bytes.length - m.at);
      bytes.set(part, at);
      got += part.length;
      onBytes(part.length);
      if ((flags & 1) === 0) return false;
      if (got !== length) throw new RangeError("an answer has a gap");
      resolve(bytes);
      return true;
    });
  }
  // Says that everything is here, and waits until the other side has heard it: the tab may be closed at once.
  async close() {
    try {
      this.send(0x07, new Uint8Array());
      await Promise.race([this.ended, wait(5000)]);
    } catch {} // it is gone already
  }
  async path() {
    const stats = [...(await this.pc.getStats()).values()];
    const pair = stats.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
    const ends = stats.filter((s) => s.id === pair?.localCandidateId || s.id === pair?.remoteCandidateId);
    return ends.some((end) => end.candidateType === "relay") ? "relay" : "direct";
  }
}

// ---- the page ----

const $ = (id) => document.getElementById(id);
const show = (id, text) => {
  $(id).hidden = text === undefined;
  if (text) $(id).textContent = text;
};
function status(text, kind = "") {
  $("status").textContent = text;
  $("status").className = kind;
}
let keys, link;

async function askPin() {
  show("pin", "");
  $("pin-text").focus();
  for (;;) {
    await new Promise((resolve) => ($("pin").onsubmit = (event) => (event.preventDefault(), resolve())));
    try {
      keys.pin = pinOf(keys, $("pin-text").value);
      await link.ticket(keys.pin);
      return show("pin");
    } catch (error) {
      keys.pin = null;
      if (![1, 5].includes(error.code)) throw error;
      status(t(error.code === 5 ? "pinLocked" : "pinWrong"), "bad");
    }
  }
}
async function connect() {
  status(t("connect"));
  link = new Link(await meet(keys, (step) => status(t(step))));
  const welcome = await link.welcome;
  // The peer says that it has signed, so somebody has taken the signature out.
  if (welcome.isSigned && !link.proven && globalThis.crypto?.subtle) {
    link.lose(new Trouble("forged"));
    throw link.error;
  }
  if (welcome.hasPin) keys.pin ? await link.ticket(keys.pin) : await askPin();
  const peer = link.peer.slice(0, 8).replace(/^.{4}/, "$&-");
  const proof = link.proven ? t("proven") : globalThis.crypto?.subtle ? "" : t("unproven"); // an older p2p-peer does not sign
  show("from", `${t(isPut(welcome) ? "to" : "from", welcome.name || "p2p", peer)} ${proof}`);
  $("from").title = link.peer;
  if (welcome.title) $("title").textContent = document.title = welcome.title;
  show("proof", t(isPut(welcome) ? "checked" : "proof", t(await link.path())));
  $("proof").dataset.peer = link.peer;
  return welcome;
}
const isPut = (welcome) => welcome.mode === 2;
// Runs it again over a new connection, as long as more gets done.
async function insist(run, done) {
  for (let tries = 0; ; ) {
    const before = done();
    try {
      if (link.error) await connect();
      return await run();
    } catch (error) {
      if (done() > before) tries = 0;
      if (!(link.error || error.key === "gone") || ["used", "forged"].includes(error.key) || ++tries > (error.key === "gone" ? 2 : 5)) throw error;
      status(t("lost"));
      await wait(1000 * tries);
    }
  }
}
function drawProgress(name, done, total, began) {
  const rate = (done * 1000) / Math.max(Date.now() - began, 1);
  $("progress").value = total ? Math.min(1, done / total) : 1;
  show("speed", t("loading", name, sizeText(done), sizeText(total), sizeText(rate), timeText(Math.max(0, total - done) / rate)));
}
async function start() {
  const secret = fromBase64(location.hash.slice(1));
  show("again");
  if (!secret) return status(t("bad"), "bad");
  keys = keysOf(secret);
  try {
    const welcome = await connect();
    const { begin } = await import(isPut(welcome) ? "./put.js" : "./get.js");
    await begin(welcome);
  } catch (error) {
    status(error instanceof Trouble ? error.message : t("failed", error.message), "bad");
    show("again", t("again"));
    $("main").setAttribute("aria-busy", "false");
  }
}

document.documentElement.lang = language;
document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
$("pin-label").textContent = t("pin");
$("pin-go").textContent = t("pinGo");
$("again").onclick = start;
show("note", t("note", location.host));
if (location.protocol === "http:" && !["localhost", "127.0.0.1"].includes(location.hostname)) show("plain", t("plain"));
addEventListener("hashchange", () => location.reload());
start();

export { $, Trouble, begin256, block, connect, drawProgress, insist, join, link, number32, number64, sha256, show, sizeText, status, t, utf8 };
