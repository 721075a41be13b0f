import { expect, test } from "bun:test";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { HedgerowService } from "../../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { envelope } from "../../../src/rpc/envelopes.ts";
import { GrpcKit } from "../../http/grpc/grpc-kit.ts";
import { RecordingLogger } from "../../rpc/kit/nodes.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { chunksOf, join, mutate } from "../kit/bytes.ts";
import { hostileBytes } from "../kit/messages.ts";
import { asyncRounds, boundMs } from "../kit/rounds.ts";
import { attack, sendHostile } from "../kit/sockets.ts";

// The listener for native gRPC, and what comes in at its socket and as its calls.

const METHODS: readonly DescMethod[] = [HedgerowService, Health, ServerReflection].flatMap(
  ({ methods }) => methods as readonly DescMethod[],
);
/** Calls that end by nothing else end by their deadline, of 300 ms at most. */
const ENDED_WITHIN_MS = 3_000;

function body(prng: Prng, method: DescMethod): Uint8Array {
  const messages = Array.from({ length: prng.int(4) }, () => {
    const framed = envelope(hostileBytes(prng, method.input));
    if (prng.chance(0.2)) framed[0] = prng.int(256);
    return framed;
  });
  const whole = join(...messages);
  return prng.chance(0.3) ? mutate(prng, whole) : whole;
}

/** Makes a call, and gives its status: gRPC's, HTTP's, or what the stream was reset with. */
function call(session: ClientHttp2Session, prng: Prng): Promise<string> {
  const method = prng.pick(METHODS);
  const name = prng.chance(0.9) ? method.name : prng.pick(["", "put", "../Put", "Put?x", "é"]);
  const stream = session.request({
    ":method": prng.chance(0.95) ? "POST" : prng.pick(["PUT", "PATCH"]),
    ":path": encodeURI(`/${method.parent.typeName}/${name}`),
    "content-type": prng.chance(0.8)
      ? "application/grpc"
      : prng.pick(["application/grpc+json", "application/grpc-web", "application/json", "x"]),
    te: "trailers",
    "grpc-timeout": prng.pick(["300m", "200m", "1n", "0S", "-1S", "soon"]),
    ...(prng.chance(0.2) && { "grpc-encoding": prng.pick(["gzip", "identity", "zip"]) }),
  });
  const ended = Promise.withResolvers<string>();
  let status = "";
  stream.on("response", (headers) => {
    status = `${headers["grpc-status"] ?? `http ${headers[":status"]}`}`;
  });
  stream.on("trailers", (trailers) => {
    status = `${trailers["grpc-status"]}`;
  });
  stream.on("error", () => {}); // told by its close
  stream.on("close", () => ended.resolve(status || `reset ${stream.rstCode}`));
  stream.resume();
  for (const chunk of chunksOf(prng, body(prng, method))) stream.write(chunk);
  if (prng.chance(0.1)) stream.close(constants.NGHTTP2_CANCEL);
  else stream.end();
  const left = setTimeout(() => {
    if (status === "") ended.resolve("nothing");
    stream.close(constants.NGHTTP2_CANCEL);
  }, ENDED_WITHIN_MS);
  return ended.promise.finally(() => clearTimeout(left));
}

test(
  "the grpc listener serves on, whatever comes in at its socket",
  async () => {
    const logger = new RecordingLogger();
    await using kit = await GrpcKit.serving({}, { logger });
    const port = Number(kit.listener.address.split(":")[1]);
    await attack(10, (prng) => sendHostile(prng, port));
    expect((await kit.client(HedgerowService).status({})).node).toBe("10.0.0.1:8080");
    expect(logger.lines.filter((line) => !line.startsWith("grpc request "))).toEqual([]);
  },
  boundMs(30_000),
);

test(
  "every call is answered, whatever it says, and costs nobody else anything",
  async () => {
    const logger = new RecordingLogger();
    await using kit = await GrpcKit.serving({}, { logger });
    const statuses = new Set<string>();
    await asyncRounds(12, async (prng) => {
      const session = connect(`http://${kit.listener.address}`);
      session.on("error", () => {}); // told by its calls
      const calls = Array.from({ length: 20 }, () => call(session, prng.fork()));
      for (const status of await Promise.all(calls)) statuses.add(status);
      session.destroy();
      expect((await kit.client(HedgerowService).status({})).node).toBe("10.0.0.1:8080");
    });
    expect(statuses).not.toContain("nothing");
    // Served and refused, and never a defect.
    expect(statuses).toContain("0");
    expect(statuses).toContain("3");
    expect(statuses).not.toContain("13");
    expect(logger.lines.filter((line) => !line.startsWith("grpc request "))).toEqual([]);
  },
  boundMs(60_000),
);
