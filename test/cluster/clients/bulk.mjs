// Asks for the newest versions of the key "bulk" many times at once, and reads all answers, or not a byte of them.
// `node bulk.mjs ADDRESS grpc|connect CALLS VERSIONS read|unread`. Says what came; one that reads nothing says when its
// connection was ended.
import { connect } from "node:http2";

const [address, protocol, calls, versions, how] = process.argv.slice(2);
const reads = how === "read";
const session = connect(`http://${address}`, {
  settings: reads ? {} : { initialWindowSize: 0 },
  maxSessionMemory: 2_000,
});
session.on("error", () => {}); // its end is what is told
const statuses = {};
let bytes = 0;
let open = Number(calls);
const tell = () => {
  console.log(JSON.stringify({ bytes, statuses }));
  process.exit();
};
if (!reads) session.on("close", tell);

const request = Buffer.from([0x0a, 4, ...Buffer.from("bulk"), 0x10, Number(versions)]);
const head = Buffer.from([0, 0, 0, 0, request.length]);
const isGrpc = protocol === "grpc";
for (let i = 0; i < Number(calls); i++) {
  const stream = session.request({
    ":method": "POST",
    ":path": "/hedgerow.v1.HedgerowService/Get",
    "content-type": isGrpc ? "application/grpc" : "application/proto",
    te: "trailers",
    ...(isGrpc ? {} : { "connect-timeout-ms": "60000" }),
  });
  let status = "none";
  stream.on("response", (headers) => {
    if (!isGrpc) status = String(headers[":status"]);
  });
  stream.on("trailers", (trailers) => {
    status = String(trailers["grpc-status"]);
  });
  stream.on("error", () => {}); // its close tells
  stream.on("data", (chunk) => {
    bytes += chunk.length;
  });
  stream.on("close", () => {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (--open === 0 && reads) tell();
  });
  stream.end(isGrpc ? Buffer.concat([head, request]) : request);
}
