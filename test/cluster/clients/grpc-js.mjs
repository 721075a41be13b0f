// A gRPC client that is not ours: @grpc/grpc-js under Node, with the schema that it reads itself.
// Prints what it saw as one line of JSON. `node grpc-js.mjs PROTO_FOLDER ADDRESS`
import { credentials, loadPackageDefinition, Metadata } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [folder, address] = process.argv.slice(2);
const files = ["hedgerow/v1/hedgerow.proto", "grpc/health/v1/health.proto"];
const options = { includeDirs: [folder], longs: String, enums: String, defaults: true };
const loaded = loadPackageDefinition(loadSync(files, options));
const hedgerow = new loaded.hedgerow.v1.HedgerowService(address, credentials.createInsecure());
const health = new loaded.grpc.health.v1.Health(address, credentials.createInsecure());

/** Its message, or its code, text and whether a detail of ours came with it. */
function unary(client, method, request, deadlineMs = 5_000) {
  const call = { deadline: Date.now() + deadlineMs };
  return new Promise((resolve) => {
    client[method](request, new Metadata(), call, (error, message) => {
      resolve(error === null ? message : failure(error));
    });
  });
}

function failure({ code, details, metadata }) {
  const [status] = metadata.get("grpc-status-details-bin");
  const detail = status?.toString("latin1").includes("hedgerow.v1.ErrorDetail") ?? false;
  return { code, details, detail };
}

/** A method that nobody serves: answered before its message is read. */
function nothing() {
  const bytes = (value) => value;
  const request = Buffer.alloc(100_000);
  return new Promise((resolve) => {
    const path = "/hedgerow.v1.Nothing/Nothing";
    hedgerow.makeUnaryRequest(path, bytes, bytes, request, (error) => resolve(failure(error)));
  });
}

/** The messages until the end, or until `enough` of them; then how it ended. */
function stream(client, method, request, { deadlineMs = 5_000, enough = Infinity } = {}) {
  return new Promise((resolve) => {
    const messages = [];
    const call = client[method](request, { deadline: Date.now() + deadlineMs });
    call.on("data", (message) => {
      messages.push(message);
      if (messages.length === enough) call.cancel();
    });
    call.on("error", (error) => resolve({ messages, code: error.code }));
    call.on("end", () => setImmediate(() => resolve({ messages, code: 0 })));
  });
}

/** Sends each message when the reply to the one before has come, two to each; gives all replies. */
function turns(method, count) {
  return new Promise((resolve) => {
    const replies = [];
    const call = hedgerow[method]({ deadline: Date.now() + 5_000 });
    const send = () => call.write({ data: Buffer.from(`turn ${replies.length / 2}`) });
    call.on("data", ({ data: reply }) => {
      replies.push(reply.toString());
      if (replies.length === 2 * count) call.end();
      else if (replies.length % 2 === 0) send();
    });
    call.on("error", (error) => resolve(failure(error)));
    call.on("end", () => resolve(replies));
    send();
  });
}

/** A stream of records in, and out again. */
async function spill(name, count) {
  const written = await new Promise((resolve) => {
    const call = hedgerow.SpillWrite({ deadline: Date.now() + 5_000 }, (error, reply) =>
      resolve(error === null ? reply.records : failure(error)),
    );
    for (let i = 0; i < count; i++) {
      call.write({ name: i === 0 ? name : "", records: [Buffer.from(`record ${i}`)] });
    }
    call.end();
  });
  const { messages, code } = await stream(hedgerow, "SpillRead", { name });
  const read = messages.flatMap(({ records }) => records.map(String));
  const same = read.every((record, i) => record === `record ${i}`);
  return { written, read: read.length, same, code };
}

const data = Buffer.from("hi");
const put = await unary(hedgerow, "Put", { key: "grpc-js", value: "v", id: "one" });
const many = Array.from({ length: 200 }, (_, i) =>
  unary(hedgerow, "Put", { key: "grpc-js-many", value: `${i}`, id: `id-${i}` }),
);
const ids = (await Promise.all(many)).map(({ id }) => id);
const large = "x".repeat(2_000_000);
await unary(hedgerow, "Put", { key: "grpc-js-large", value: large, id: "large" });
const larges = await Promise.all(
  Array.from({ length: 30 }, () => unary(hedgerow, "Get", { key: "grpc-js-large" }, 20_000)),
);

console.log(
  JSON.stringify({
    put: put.id,
    got: (await unary(hedgerow, "Get", { key: "grpc-js" })).entries.map(({ value }) => value),
    manyInOrder: ids.every((id, i) => id === `id-${i}`),
    largeWhole: larges.every(({ entries }) => entries?.[0]?.value === large),
    sent: (await unary(hedgerow, "Send", { data })).data.toString(),
    conflict: await unary(hedgerow, "Put", { key: "grpc-js", value: "other", id: "one" }),
    tooLarge: await unary(hedgerow, "Put", { key: "k", value: "x".repeat(20_000_000) }),
    broadcast: (await stream(hedgerow, "Broadcast", { data })).messages
      .map(({ node }) => node)
      .sort(),
    canceled: await stream(hedgerow, "WatchMembers", {}, { enough: 1 }).then((seen) => ({
      members: seen.messages[0].members.length,
      code: seen.code,
    })),
    deadline: (await stream(hedgerow, "WatchLog", { key: "quiet" }, { deadlineMs: 300 })).code,
    turns: await turns("StreamToLeader", 3),
    spilled: await spill("grpc-js", 500),
    health: await unary(health, "Check", { service: "hedgerow.v1.HedgerowService" }),
    nothing: await Promise.all(Array.from({ length: 20 }, nothing)),
    noSuchService: (await unary(health, "Check", { service: "no.Such" })).code,
  }),
);
hedgerow.close();
health.close();
