// node node_end.js LIBRARY calls|answers BYTES: the other end of a channel with a library of npm. One line of JSON
// in (what the native end tells), one out (what this end tells), then one with the result.
const { meet } = require("./other_end.js");
const [library, role, bytes] = process.argv.slice(2);
const { RTCPeerConnection } =
  library === "node-datachannel" ? require("node-datachannel/polyfill") : require(library);

require("readline")
  .createInterface({ input: process.stdin })
  .once("line", async (line) => {
    try {
      const { end, result } = await meet(RTCPeerConnection, JSON.parse(line), role === "calls", Number(bytes));
      console.log(JSON.stringify(end));
      console.log(JSON.stringify(await result));
      // What was sent may still be on its way: whoever has started this ends it.
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
      process.exit(1);
    }
  });
