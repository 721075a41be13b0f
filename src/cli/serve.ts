import { fullGC } from "bun:jsc";
import { hostname } from "node:os";
import { HedgerowError } from "../errors.ts";
import { HttpListener, type ListenerTls } from "../http/listener.ts";
import type { HedgerowNode } from "../node/api.ts";
import { boundedWrite } from "../observe/bounded.ts";
import { Turns } from "../rpc/turns.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { processBurden } from "../runtime/system.ts";
import { giveBackAfterBursts } from "./burst-memory.ts";
import { clientTls, clientTokens, followTls } from "./client-access.ts";
import { command } from "./command.ts";
import type { CliContext } from "./context.ts";
import { SERVE_FLAGS, type ServeConfig } from "./flags.ts";
import { checkListeners } from "./listeners.ts";
import { openSidecar } from "./sidecar.ts";
import { collectUnderStreams } from "./stream-garbage.ts";
import * as values from "./values.ts";

export default command({
  flags: {
    ...SERVE_FLAGS,
    stopWithStdin: {
      schema: values.yesNo,
      fallback: "false",
      section: "Process",
      typedOnly: true,
      hidden: true,
      help: "stop once stdin ends: whoever started this node has gone",
    },
  },
  async run(context, config) {
    const ended = Promise.withResolvers<void>();
    ended.promise.catch(() => {}); // thrown where it is awaited, which may be later than it is known
    context.stop.addEventListener("abort", () => ended.resolve(), { once: true });
    if (context.stop.aborted) ended.resolve();
    const stdin = config.stopWithStdin ? context.stdin().getReader() : null;
    if (stdin !== null) void readToEnd(stdin).then(ended.resolve, ended.resolve);
    try {
      await serve(context, config, ended);
    } finally {
      await stdin?.cancel(); // an open reader would keep the process
    }
  },
});

/** Milliseconds after which a start is over, its first probes included. */
const SETTLED_MS = 200;

/** What makes a running node end: resolved to stop it, rejected when it cannot go on. */
type End = PromiseWithResolvers<void>;

/** Order: the port that people look at is bound first, so that nothing has started when it is taken. */
async function serve(context: CliContext, config: ServeConfig, ended: End): Promise<void> {
  const { clock } = context.runtime;
  await checkListeners(config);
  await using closing = new AsyncDisposableStack();
  const tls = await clientTls(config, clock);
  const listener = new HttpListener({ address: config.httpAddr, tls, clock });
  closing.defer(() => listener.stop());
  const grpc = config.grpcAddr === null ? null : await openGrpc(config.grpcAddr, tls, clock);
  // Both at once: each gives what is under way its time.
  closing.defer(async () => void (await Promise.all([grpc?.listener.stop(), listener.stop()])));

  const { createLogger, Hedgerow, createClientApi, createHttpApp, demoHandlers } =
    await loadParts(clock);
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    write: boundedWrite(context.stderr),
  });
  const tokens = await clientTokens(config, { clock, logger });
  closing.defer(() => tokens?.close());
  if (tls !== undefined) {
    const renew = (renewed: ListenerTls) => {
      listener.renew(renewed);
      grpc?.listener.renew(renewed);
    };
    closing.defer(await followTls(config, tls, { clock, logger }, renew));
  }
  const started = Promise.withResolvers<HedgerowNode>();
  const sidecar = await openSidecar(config, started.promise, { runtime: context.runtime, logger });
  closing.defer(() => sidecar.close());
  const host = hostname();
  let address = config.peerAddr;
  const node = await Hedgerow.start({
    ...nodeOptions(config),
    ...demoHandlers({ hostname: host, address: () => address, clock }),
    ...sidecar.handlers,
    logger,
    onFatal: ended.reject,
  }).catch((error: unknown) => {
    throw withPeerFlag(error, config.peerAddr);
  });
  address = node.address;
  started.resolve(node);
  closing.defer(() => node.stop());

  const api = createClientApi(node, clock, config);
  const served = { node, api, tokens, maxMessageBytes: config.maxMessage, logger, clock };
  const rules = {
    boundHost: listener.host,
    hosts: [host.toLowerCase(), ...config.httpHosts],
    origins: config.corsOrigin,
  };
  listener.serve(createHttpApp({ ...served, hostname: host, rules }));
  grpc?.listener.serve(grpc.createGrpcService(served));
  logger.info("serving", {
    http: listener.url,
    ...(grpc !== null && { grpc: grpc.listener.address }),
    peer: node.address,
  });
  // 2 MB of what was compiled and allocated served the start alone. It takes 5 ms, which nobody waits for.
  let settled = clock.schedule(SETTLED_MS, () => {
    Bun.shrink();
    settled = giveBackAfterBursts(clock, processBurden, () => Bun.shrink());
  });
  closing.defer(() => settled.cancel());
  closing.use(collectUnderStreams(Turns.of(clock), processBurden, fullGC));
  await ended.promise;
  logger.info("stopping");
}

/**
 * Loaded when the port is bound already. Evaluating modules blocks the event loop for milliseconds: the
 * turns before each let it answer probes.
 */
async function loadParts(clock: Clock) {
  await sleep(clock, 0);
  const { createLogger } = await import("../observe/logtape.ts");
  await sleep(clock, 0);
  const { Hedgerow } = await import("../node/hedgerow.ts");
  await sleep(clock, 0);
  const { createHttpApp } = await import("../http/app.ts");
  const { createClientApi } = await import("../http/client-api.ts");
  const { demoHandlers } = await import("../http/demo-handlers.ts");
  return { createLogger, Hedgerow, createClientApi, createHttpApp, demoHandlers };
}

/** Loaded where it is wanted alone: it is 2 MB of modules. */
async function openGrpc(address: string, tls: ListenerTls | undefined, clock: Clock) {
  const { GrpcListener } = await import("../http/grpc/listener.ts");
  const { createGrpcService } = await import("../http/grpc/service.ts");
  return { listener: await GrpcListener.open({ address, tls, clock }), createGrpcService };
}

/** Names the flag where the peer port is in use, as the http listener does for its own. */
function withPeerFlag(error: unknown, peerAddr: string): unknown {
  if (!HedgerowError.is(error, "unavailable")) return error;
  const { cause, code, message } = error;
  const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
  return inUse ? new HedgerowError(code, `--peer-addr ${peerAddr}: ${message}`, { cause }) : error;
}

function tlsOf({ tls, tlsCert: cert, tlsKey: key, tlsCa: ca }: ServeConfig) {
  if (tls === "files") {
    if (cert !== null && key !== null && ca !== null) return { cert, key, ca };
    throw new HedgerowError(
      "invalid_argument",
      "--tls files needs --tls-cert, --tls-key and --tls-ca",
    );
  }
  if (cert === null && key === null && ca === null) return tls;
  throw new HedgerowError(
    "invalid_argument",
    `--tls ${tls} reads no files: give --tls files, or leave --tls-cert, --tls-key and --tls-ca out`,
  );
}

function nodeOptions(config: ServeConfig) {
  return {
    store: config.store,
    address: config.peerAddr,
    name: config.name ?? undefined,
    label: config.label ?? undefined,
    lockTable: config.lockTable,
    lockName: config.lockName,
    logTable: config.logTable ?? "",
    keepVersions: config.keepVersions ?? undefined,
    keepAge: config.keepAge ?? undefined,
    spillDir: config.spillDir,
    maxMessage: config.maxMessage,
    maxCalls: config.maxCalls,
    maxStreams: config.maxStreams,
    spillMemory: config.spillMemory ?? undefined,
    spillDisk: config.spillDisk ?? undefined,
    spillCompression: config.spillCompression,
    lease: config.lease,
    syncInterval: config.syncInterval,
    join: config.join,
    tls: tlsOf(config),
  };
}

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done); // what comes before the end means nothing
}
