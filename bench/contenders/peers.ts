// Our own peer RPC: the Connect protocol, with and without TLS, with and without coalescing.
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { createAuthority, issueCertificate } from "../../src/rpc/certificates.ts";
import { startPeerListener } from "../../src/rpc/listener.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import { type PeerRoute, type Peers, type StreamRoute, serve } from "../../src/rpc/port.ts";
import type { TlsMaterial } from "../../src/rpc/tls.ts";
import { systemClock, systemRuntime } from "../../src/runtime/system.ts";
import { type Info, playRole } from "../roles.ts";

const HOUR_MS = 3_600_000;
const LABEL = "locktable/bench";

/** What two processes need to trust each other. */
export function makeTls(): { server: TlsMaterial; client: TlsMaterial } {
  const validity = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + HOUR_MS };
  const authority = createAuthority(validity);
  const issue = (name: string) => ({
    ...issueCertificate(authority, `hedgerow://bench/${name}`, validity),
    ca: [authority.cert],
  });
  return { server: issue("server"), client: issue("client") };
}

/** Serves the routes on a free port, some in batches, with or without TLS: what `peersFrom` needs. */
export function servePeers(
  routes: readonly PeerRoute[],
  tls: boolean,
  batched: readonly PeerRoute["method"][],
  streamRoutes: readonly StreamRoute[] = [],
): Info {
  const material = tls ? makeTls() : null;
  const listener = startPeerListener({
    runtime: systemRuntime(),
    logger: silentLogger,
    host: "127.0.0.1",
    port: 0,
    tls: material?.server ?? null,
    routes,
    streamRoutes,
    batched,
    label: LABEL,
  });
  const { key, cert, ca } = material?.client ?? { key: "", cert: "", ca: [""] };
  return { port: listener.port, key, cert, ca: ca[0] ?? "" };
}

/** The calling side, which coalesces calls of the given methods. */
export function peersFrom(server: Info, batched: readonly PeerRoute["method"][]): Peers {
  const { key, cert, ca } = server;
  const tls = key === "" ? null : { key: String(key), cert: String(cert), ca: [String(ca)] };
  return connectPeers({ clock: systemClock(), tls: () => tls, batched, label: LABEL });
}

const { deliver } = PeerService.method;

if (import.meta.main) {
  await playRole({
    server: async ({ tls, coalesced }) => {
      const echo = serve(deliver, async ({ data }) => ({ data }));
      const batched = coalesced === true ? [deliver] : [];
      return { ...servePeers([echo], tls === true, batched), coalesced: coalesced === true };
    },
    client: async (server) => {
      const peers = peersFrom(server, server.coalesced ? [deliver] : []);
      const data = new Uint8Array(64);
      return () => peers.unary(`127.0.0.1:${server.port}`, deliver, { data });
    },
  });
}
