import type { SpannerClient } from "@google-cloud/spanner/build/src/v1/index.js";
import { HedgerowError } from "../../errors.ts";
import { withCredentials } from "./credentials.ts";

export type { SpannerClient };

/** Where Google's clients connect, and how. `emulatorHost` is `host:port`, or null for Cloud Spanner itself. */
export async function clientOptions(emulatorHost: string | null) {
  const common = {
    // Connections of its own: what one client sends and receives delays no other's.
    "grpc.use_local_subchannel_pool": 1,
    // A database that comes back is found soon; 120 s, the default, is longer than most leases.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    // A connection that went silent is noticed, and replaced, while calls wait on it.
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    // Without it an error of a streaming call is held back for 7 s.
    gaxServerStreamingRetries: true,
  };
  if (emulatorHost === null) return common;
  const [, servicePath, port] = /^([\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})$/.exec(emulatorHost) ?? [];
  if (servicePath === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new HedgerowError(
      "invalid_argument",
      `SPANNER_EMULATOR_HOST ${JSON.stringify(emulatorHost)}: give host:port, as in 127.0.0.1:9010`,
    );
  }
  const { credentials } = await import("@grpc/grpc-js");
  return {
    ...common,
    servicePath,
    port: Number(port),
    sslCreds: credentials.createInsecure(),
    projectId: "emulator",
    // It is near: the environment's proxy is for what is not.
    "grpc.enable_http_proxy": 0,
    // Or Google's library looks for a metadata server, to learn what is said here.
    clientOptions: { universe_domain: "googleapis.com" },
  };
}

/**
 * A client of Spanner's API, with the credentials of a former one if there is one. Imported here, for it takes
 * 50 MB that no other store needs. Throws `store_failed` without credentials.
 */
export async function makeClient(
  emulatorHost: string | null,
  former: SpannerClient | null = null,
): Promise<SpannerClient> {
  const options = await clientOptions(emulatorHost);
  const { SpannerClient } = await import("@google-cloud/spanner/build/src/v1/index.js");
  const auth = former === null ? {} : { auth: former.auth };
  return withCredentials(new SpannerClient({ ...options, ...auth }));
}
