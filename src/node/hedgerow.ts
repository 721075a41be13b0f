import { HedgerowError } from "../errors.ts";
import { GossipService } from "../gen/hedgerow/v1/gossip_pb.ts";
import { CallGate } from "../rpc/call-gate.ts";
import { openCredentials } from "../rpc/credentials.ts";
import { PEER_BASE } from "../rpc/base-route.ts";
import type { PeerEndpoint } from "../rpc/endpoint.ts";
import { callBytesFor } from "../rpc/limits.ts";
import { connectPeers } from "../rpc/peers.ts";
import type { PeerRoute } from "../rpc/port.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import { systemRuntime } from "../runtime/system.ts";
import { systemScratch } from "../runtime/system-scratch.ts";
import type { SpillLimits, SpillStore } from "../spill/api.ts";
import { countedStore } from "../store/counted.ts";
import { NO_STORE, openStore } from "../store/open.ts";
import type { StoredEntry } from "../store/ports.ts";
import type * as api from "./api.ts";
import * as given from "./arguments.ts";
import type { NodeConfig } from "./config.ts";
import { Core } from "./core.ts";
import { type NodeCall, NodeCounts } from "./counts.ts";
import { InFlight } from "./in-flight.ts";
import { streamLimitsOf } from "./limits.ts";
import { checkOptions, type HedgerowOptions } from "./options.ts";
import { checkSpillDir, warnOfMemory } from "./spill-room.ts";
import { BATCHED_METHODS, GATED_METHODS } from "./routes.ts";
import { findAddress, openTo } from "./transport.ts";

/** How long a stop waits for calls under way, in milliseconds. */
const DRAIN_MS = 2_000;

declare const HEDGEROW_UNPROTECTED: boolean | undefined;
/** False in the control binary of the tests, and in nothing else: see scripts/build.ts. */
const PROTECTIONS = !(typeof HEDGEROW_UNPROTECTED !== "undefined" && HEDGEROW_UNPROTECTED);

/** A node on this machine: sockets, files and the clock around Core. */
export class Hedgerow implements api.HedgerowNode {
  #stopping: Promise<void> | null = null;

  private constructor(
    private readonly core: Core,
    private readonly runtime: Runtime,
    private readonly inFlight: InFlight,
    private readonly counts: NodeCounts,
    private readonly endpoint: PeerEndpoint,
    /** What was opened for the node, to be closed in reverse order. */
    private readonly opened: AsyncDisposableStack,
  ) {}

  /**
   * Starts a node. Nothing stays open if it throws: `invalid_argument` for options, `unavailable` for an
   * address in use, `wrong_cluster` for another lease than the cluster's, and the store's errors.
   */
  static async start(options: HedgerowOptions = {}): Promise<Hedgerow> {
    const checked = checkOptions(options);
    const runtime = systemRuntime();
    const { logger, limits } = checked;
    await using opening = new AsyncDisposableStack();
    const peerAddress = await findAddress(checked);
    const { address } = peerAddress;
    const incarnation = Math.floor(runtime.clock.wallMicros() / 1e3);
    await checkSpillDir(checked.spillDir);
    await warnOfMemory(checked.spill, logger);
    const counts = new NodeCounts(runtime.clock);
    const store =
      checked.store === NO_STORE
        ? null
        : countedStore(await openStore(checked.store, { ...checked, runtime }), counts.store);
    opening.defer(() => store?.close());
    const credentials = await openCredentials({
      ...checked,
      address,
      incarnation,
      log: store?.log ?? null,
      runtime,
    });
    opening.defer(() => credentials.close());
    const peers = connectPeers({
      clock: runtime.clock,
      tls: credentials.current,
      batched: BATCHED_METHODS,
      label: checked.label,
      traffic: counts.traffic,
      network: checked.network,
      streamLimits: streamLimitsOf(limits),
      maxCallBytes: callBytesFor(limits.maxMessageBytes),
    });
    opening.defer(() => peers.close());
    let node: Hedgerow | null = null;
    const config: NodeConfig = {
      ...checked,
      address,
      incarnation,
      name: checked.name ?? address,
      protections: PROTECTIONS,
      onLeaderChange: (leads) => {
        // In a database that was lost and made anew, before a new node founds another authority.
        if (leads) void credentials.refresh();
        return checked.onLeaderChange?.(leads);
      },
      onFatal: async (error) => {
        await node?.stop();
        await checked.onFatal?.(error);
      },
    };
    const core = new Core(config, {
      runtime,
      store,
      peers,
      scratch: systemScratch(checked.spill.folder),
    });
    const inFlight = new InFlight();
    const gate = new CallGate(limits.maxCalls);
    const serving = {
      logger,
      batched: BATCHED_METHODS,
      label: checked.label,
      traffic: counts.traffic,
      routes: core.routes.map((route) =>
        isOfMembers(route) ? route : gated(inFlight.route(route), gate),
      ),
      streamLimits: streamLimitsOf(limits),
      maxCallBytes: callBytesFor(limits.maxMessageBytes),
      streamRoutes: core.streamRoutes,
    };
    const listener = openTo(serving, checked, peerAddress, credentials, runtime);
    opening.defer(() => listener.stop());
    opening.defer(() => core.stop());
    if (!PROTECTIONS) logger.error("control binary: fence and deadline checks are off");
    if (checked.tls === "none" && checked.network === undefined)
      logger.warn("peers speak plain text: --tls none is for debugging");
    await core.start();
    logger.info("started", { address, name: config.name, label: config.label });
    node = new Hedgerow(core, runtime, inFlight, counts, listener.endpoint, opening.move());
    return node;
  }

  get name(): string {
    return this.core.config.name;
  }

  get address(): string {
    return this.core.config.address;
  }

  get isLeader(): boolean {
    return this.core.isLeader;
  }

  get leader(): string | null {
    return this.core.leader;
  }

  get token(): string | null {
    return this.core.token;
  }

  get state(): api.PeerStateName {
    return this.core.state;
  }

  get running(): boolean {
    return this.core.running;
  }

  put(key: string, value: string, options?: api.PutOptions): Promise<api.PutResult> {
    return this.#call("put", () => {
      given.checkArgument("put: key", key, given.text);
      given.checkArgument("put: value", value, given.text);
      given.checkOptions("put", options, given.PUT_OPTIONS);
      return this.core.log.put(key, value, options);
    });
  }

  get(key: string, options?: api.GetOptions): Promise<StoredEntry[]> {
    return this.#call("get", () => {
      given.checkArgument("get: key", key, given.text);
      given.checkOptions("get", options, given.GET_OPTIONS);
      return this.core.log.get(key, options);
    });
  }

  /** Not waited for by a stop, which ends it: it would never end by itself. */
  watch(key: string, options?: api.WatchOptions): AsyncIterableIterator<StoredEntry> {
    given.checkArgument("watch: key", key, given.text);
    given.checkOptions("watch", options, given.WATCH_OPTIONS);
    return this.core.log.watch(key, options);
  }

  send(data: api.Bytes, options?: CallOptions): Promise<Uint8Array> {
    return this.#call("send", () => {
      given.checkArgument("send: data", data, given.bytes);
      given.checkOptions("send", options, given.CALL_OPTIONS);
      return this.core.messaging.send(data, options);
    });
  }

  sendToLeader(data: api.Bytes, options?: api.SendToLeaderOptions): Promise<Uint8Array> {
    return this.#call("send", () => {
      given.checkArgument("sendToLeader: data", data, given.bytes);
      given.checkOptions("sendToLeader", options, given.SEND_TO_LEADER_OPTIONS);
      return this.core.messaging.sendToLeader(data, options);
    });
  }

  broadcast(data: api.Bytes, options?: api.BroadcastOptions): Promise<api.BroadcastReply[]> {
    return Array.fromAsync(this.broadcastStream(data, options));
  }

  broadcastStream(
    data: api.Bytes,
    options?: api.BroadcastOptions,
  ): AsyncIterable<api.BroadcastReply> {
    const replies = this.counts.calls.trackAll("broadcast", this.#replies(data, options));
    return this.inFlight.trackAll(replies);
  }

  async *#replies(data: api.Bytes, options?: api.BroadcastOptions) {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("broadcast: data", data, given.bytes);
    given.checkOptions("broadcast", options, given.BROADCAST_OPTIONS);
    yield* this.core.messaging.broadcast(data, options);
  }

  /** Not waited for by a stop, which ends it. */
  streamToLeader(
    input: api.StreamInput,
    options?: api.StreamOptions,
  ): AsyncIterableIterator<Uint8Array> {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("streamToLeader: input", input, given.messages);
    given.checkOptions("streamToLeader", options, given.STREAM_OPTIONS);
    return this.core.streams.toLeader(input, options);
  }

  /** Not waited for by a stop, which ends it. */
  streamBroadcast(
    input: api.StreamInput,
    options?: api.StreamBroadcastOptions,
  ): AsyncIterableIterator<api.BroadcastReply> {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("streamBroadcast: input", input, given.messages);
    given.checkOptions("streamBroadcast", options, given.STREAM_BROADCAST_OPTIONS);
    return this.core.streams.toAll(input, options);
  }

  lock(name: string, options?: api.LockOptions): api.Lock {
    given.checkArgument("lock: name", name, given.text);
    given.checkOptions("lock", options, given.LOCK_OPTIONS);
    const lock = this.core.locks.lock(name, options);
    const take = (how: "acquire" | "tryAcquire") => (call?: CallOptions) =>
      this.counts.calls.track("lock", () => {
        given.checkOptions(how, call, given.CALL_OPTIONS);
        return lock[how](call);
      });
    return { name, acquire: take("acquire"), tryAcquire: take("tryAcquire") };
  }

  semaphore(name: string, limit: number): api.Semaphore {
    given.checkArgument("semaphore: name", name, given.text);
    given.checkArgument("semaphore: limit", limit, given.wholeNumber);
    const semaphore = this.core.semaphores.semaphore(name, limit);
    const take = (how: "acquire" | "tryAcquire") => (call?: api.PermitOptions) =>
      this.counts.calls.track("semaphore", () => {
        given.checkOptions(how, call, given.PERMIT_OPTIONS);
        return semaphore[how](call);
      });
    return { name, limit, acquire: take("acquire"), tryAcquire: take("tryAcquire") };
  }

  spill(name: string, limits?: SpillLimits): SpillStore {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("spill: name", name, given.text);
    given.checkOptions("spill", limits, given.SPILL_LIMITS);
    return this.core.spill.store(name, limits);
  }

  findSpill(name: string): SpillStore {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("findSpill: name", name, given.text);
    return this.core.spill.find(name);
  }

  spillStores(): SpillStore[] {
    if (this.#stopping !== null) throw stopped();
    return this.core.spill.all();
  }

  members(): api.MemberInfo[] {
    return this.core.members();
  }

  observe(observer: api.MembersObserver, options?: api.ObserveOptions): () => void {
    if (this.#stopping !== null) throw stopped();
    given.checkArgument("observe: observer", observer, given.callback);
    given.checkOptions("observe", options, given.OBSERVE_OPTIONS);
    return this.core.observe(observer, options);
  }

  handler(): api.NodeHandler {
    return {
      route: `${PEER_BASE}/*`,
      // What a router passes on need not be Bun's server.
      fetch: (request, server) =>
        this.endpoint.fetch(request, typeof server?.timeout === "function" ? server : undefined),
    };
  }

  get sharder(): api.MemberSharder {
    if (this.#stopping !== null) throw stopped();
    return this.core.sharder;
  }

  join(addresses: readonly string[]): Promise<void> {
    return this.#call("join", () => {
      given.checkArgument("join: addresses", addresses, given.texts);
      return this.core.join(addresses);
    });
  }

  changeState(state: api.PeerStateName, options?: CallOptions): Promise<void> {
    return this.#call("change_state", () => {
      given.checkArgument("changeState: state", state, given.peerState);
      given.checkOptions("changeState", options, given.CALL_OPTIONS);
      return this.core.changeState(state, options);
    });
  }

  status(): api.NodeStatus {
    const { address: node, name, leader, isLeader, token } = this;
    const { config, iterations } = this.core;
    const { leaseMs } = config;
    return { node, name, leader, isLeader, token, members: this.members(), leaseMs, iterations };
  }

  async metrics(): Promise<string> {
    const { edgeMetrics } = await import("./metrics.ts");
    const { prometheusText } = await import("../observe/prometheus.ts");
    const edges = edgeMetrics(this.counts, this.inFlight.count);
    return prometheusText([...(await this.core.metrics()), ...edges]);
  }

  async ready(): Promise<void> {
    if (this.#stopping !== null) throw stopped();
    await this.core.ready();
  }

  /** Gives the lease up first, then lets calls under way finish, for two seconds at most. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await using _ = this.opened; // closed whatever becomes of the rest
    await this.core.resign();
    await this.inFlight.drained(this.runtime.clock, DRAIN_MS);
  }

  #call<T>(kind: NodeCall, call: () => Promise<T>): Promise<T> {
    if (this.#stopping !== null) return Promise.reject(stopped());
    return this.inFlight.track(this.counts.calls.track(kind, call));
  }
}

/** Members talk to each other all the time: a stop waits for what users wait for. */
function isOfMembers({ method }: PeerRoute): boolean {
  return method.parent.typeName === GossipService.typeName;
}

/** Calls that cost the work of others. What keeps leases, locks and permits alive passes at all times. */
function gated(route: PeerRoute, gate: CallGate): PeerRoute {
  if (!GATED_METHODS.includes(route.method)) return route;
  return { ...route, handle: (request, call) => gate.run(() => route.handle(request, call)) };
}

function stopped(): HedgerowError {
  return new HedgerowError("stopped", "the node is stopping");
}
