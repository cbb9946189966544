// The other end of a channel, for anything that has RTCPeerConnection: a browser's page, and libraries for Node.
// Only what both sides tell each other travels: a login of ICE, a fingerprint, and addresses. The texts that a
// browser wants (SDP) are made from that here.

const PERIOD = 251, PIECE = 64 * 1024, HIGH = 1 << 20;

function toText(type, end) {
  const colons = end.fingerprint.toUpperCase().match(/../g).join(":");
  const candidates = end.candidates.map((text, i) => {
    const [ip, port, kind, priority] = text.split(" ");
    const base = kind === "host" ? "" : " raddr 0.0.0.0 rport 9";
    return `a=candidate:${i + 1} 1 udp ${priority} ${ip} ${port} typ ${kind}${base}`;
  });
  return [
    "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0",
    `a=ice-ufrag:${end.ufrag}`, `a=ice-pwd:${end.pwd}`, `a=fingerprint:sha-256 ${colons}`,
    `a=setup:${type === "offer" ? "actpass" : "active"}`, "a=sctp-port:5000", "a=max-message-size:262144",
    ...candidates, "a=end-of-candidates", "",
  ].join("\r\n");
}

function fromText(text) {
  const value = (name) => text.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
  return {
    ufrag: value("ice-ufrag"),
    pwd: value("ice-pwd"),
    fingerprint: value("fingerprint").split(" ")[1].replaceAll(":", "").toLowerCase(),
    candidates: [...text.matchAll(/^a=candidate:\S+ 1 udp (\d+) (\S+) (\d+) typ (\S+)/gim)]
      .map(([, priority, ip, port, kind]) => `${ip} ${port} ${kind} ${priority}`)
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

// Reads `bytes` bytes, then writes as many. Byte i of both is i modulo 251.
function exchange(dc, bytes) {
  const pattern = new Uint8Array(PERIOD + PIECE).map((_, i) => i % PERIOD);
  let received = 0, sent = 0, began = 0, answered = 0;
  dc.binaryType = "arraybuffer";
  dc.bufferedAmountLowThreshold = HIGH / 2;
  return new Promise((resolve, reject) => {
    const write = () => {
      while (sent < bytes && dc.bufferedAmount < HIGH) {
        const length = Math.min(PIECE, bytes - sent);
        dc.send(pattern.slice(sent % PERIOD, (sent % PERIOD) + length));
        sent += length;
      }
    };
    dc.onbufferedamountlow = write;
    dc.onmessage = (event) => {
      const piece = new Uint8Array(event.data);
      began ||= performance.now();
      for (let i = 0; i < piece.length; i += 97)
        if (piece[i] !== (received + i) % PERIOD) return reject(new Error(`byte ${received + i} is wrong`));
      received += piece.length;
      if (received < bytes) return undefined;
      answered = performance.now();
      return write();
    };
    const look = () => {
      if (sent === bytes && received === bytes && dc.bufferedAmount === 0)
        resolve({ received, sent, receivedMs: answered - began, sentMs: performance.now() - answered });
      else setTimeout(look, 20);
    };
    look();
    // The native end closes when it has everything; not everybody tells that.
    dc.onclose = () => {
      if (typeof window !== "undefined") window.isClosed = true;
      if (sent < bytes) reject(new Error(`closed after ${received} in and ${sent} out`));
    };
  });
}

// Returns what to tell the native end, and the promise of the result.
async function meet(Connection, native, calls, bytes) {
  const pc = new Connection({ iceServers: [] });
  const result = new Promise((resolve, reject) => {
    pc.ondatachannel = ({ channel }) => exchange(channel, bytes).then(resolve, reject);
    // Browsers choose the id 0 themselves; werift does not know yet which ones it may choose.
    if (!calls) exchange(pc.createDataChannel("p2p", { id: 0 }), bytes).then(resolve, reject);
  });
  result.catch(() => {});
  if (calls) {
    pc.createDataChannel("", { negotiated: true, id: 100 }); // only that the offer has a data channel
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    await pc.setRemoteDescription({ type: "answer", sdp: toText("answer", native) });
  } else {
    await pc.setRemoteDescription({ type: "offer", sdp: toText("offer", native) });
    await pc.setLocalDescription(await pc.createAnswer());
    await gathered(pc);
  }
  return { end: fromText(pc.localDescription.sdp), result, pc };
}

if (typeof window !== "undefined") window.meet = meet;
else module.exports = { meet };
