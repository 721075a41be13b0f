import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { HedgerowError } from "../../errors.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.ts";
import type { HedgerowNode } from "../../node/api.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { StreamGate } from "../admission.ts";
import { clientAddressOf } from "../client-address.ts";

/** Those who watch are told of a change within so many milliseconds. */
const WATCH_INTERVAL_MS = 1_000;
/** Nobody needs to show a token here, so that the node is not asked more often than this, in milliseconds. */
const FRESH_MS = 250;
/** As with `/readyz`: what takes longer counts as not ready, in milliseconds. */
const READY_TIMEOUT_MS = 900;

interface HealthOptions {
  readonly node: HedgerowNode;
  readonly clock: Clock;
  /** Counts those who watch. */
  readonly gate: StreamGate;
}

/**
 * grpc.health.v1: SERVING for each of the services, and for "", while the node is ready, as `/readyz` says it.
 * github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export function registerHealth(
  router: ConnectRouter,
  services: readonly DescService[],
  { node, clock, gate }: HealthOptions,
): void {
  const names = ["", Health.typeName, ...services.map(({ typeName }) => typeName)];
  const readiness = new Readiness(node, clock);
  router.service(Health, {
    async check({ service }) {
      if (names.includes(service)) return { status: await readiness.status() };
      throw new HedgerowError("not_found", `no service ${service} is served here`);
    },
    async list() {
      const status = await readiness.status();
      return { statuses: Object.fromEntries(names.map((name) => [name, { status }])) };
    },
    watch({ service }, context) {
      const now = () =>
        names.includes(service) ? readiness.status() : Promise.resolve(Status.SERVICE_UNKNOWN);
      return gate.run(clientAddressOf(context), () => watch(clock, now, context.signal));
    },
  });
}

async function* watch(clock: Clock, now: () => Promise<Status>, signal: AbortSignal) {
  let told: Status | null = null;
  while (!signal.aborted) {
    const status = await now();
    if (status !== told) yield { status };
    told = status;
    await sleep(clock, WATCH_INTERVAL_MS, signal).catch(() => {}); // what has ended is looked at here
  }
  // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
  if (!(signal.reason instanceof ConnectError)) return;
  const stops = signal.reason.code === Code.Unavailable;
  if (stops && told === Status.SERVING) yield { status: Status.NOT_SERVING };
  throw signal.reason;
}

/** What the node says of itself, asked once for all who want to know at one time. */
class Readiness {
  #asked: Promise<Status> | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly node: HedgerowNode,
    private readonly clock: Clock,
  ) {}

  status(): Promise<Status> {
    const now = this.clock.now();
    if (this.#asked === null || now - this.#askedAt >= FRESH_MS) {
      this.#asked = this.#ask();
      this.#askedAt = now;
    }
    return this.#asked;
  }

  async #ask(): Promise<Status> {
    using operation = new Operation(this.clock, "readiness", {}, READY_TIMEOUT_MS);
    return await operation.race(this.node.ready()).then(
      () => Status.SERVING,
      () => Status.NOT_SERVING,
    );
  }
}
