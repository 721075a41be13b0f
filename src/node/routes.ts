import type { DescMethodUnary } from "@bufbuild/protobuf";
import { ClaimService } from "../gen/hedgerow/v1/claims_pb.ts";
import { GossipService } from "../gen/hedgerow/v1/gossip_pb.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Locks } from "../lock/named/locks.ts";
import type { Log } from "../log/log.ts";
import type { Gossip } from "../members/gossip.ts";
import type { Messaging } from "../messaging/messaging.ts";
import type { Semaphores } from "../semaphore/semaphores.ts";
import { hintFromWire } from "../rpc/hint.ts";
import { type PeerRoute, serve } from "../rpc/port.ts";

/** What every node has. */
export interface Parts {
  readonly directory: LeaderDirectory;
  readonly gossip: Gossip;
  readonly messaging: Messaging;
}

/** What a node with a store has besides. */
export interface StoreParts {
  readonly locks: Locks;
  readonly log: Log;
  readonly semaphores: Semaphores;
}

/**
 * What may travel in batches: a batch is answered when its slowest call has ended, and appends end with the
 * same commits. Nothing else does: a ping among them would wait for the store.
 */
export const BATCHED_METHODS: readonly DescMethodUnary[] = [PeerService.method.append];

/** What other nodes ask for on behalf of their users, and of which there may be too much. */
export const GATED_METHODS: readonly DescMethodUnary[] = [
  PeerService.method.append,
  PeerService.method.deliver,
  PeerService.method.deliverBroadcast,
];

/** What a node answers to other nodes. */
export function peerRoutes({ directory, gossip, messaging }: Parts): PeerRoute[] {
  const peer = PeerService.method;
  const members = GossipService.method;
  return [
    serve(peer.deliver, (message, call) => messaging.serveDeliver(message, call)),
    serve(peer.deliverBroadcast, (message, call) => messaging.serveDeliverBroadcast(message, call)),
    serve(peer.announce, async ({ leader }) => {
      directory.learn(hintFromWire(leader));
      return {};
    }),
    serve(members.sync, (request) => gossip.serveSync(request)),
    serve(members.ping, (request) => gossip.servePing(request)),
    serve(members.pingIndirect, (request, call) => gossip.servePingIndirect(request, call)),
  ];
}

/** The same of its store. */
export function storeRoutes({ locks, log, semaphores: { keeper } }: StoreParts): PeerRoute[] {
  const claims = ClaimService.method;
  return [
    serve(PeerService.method.append, (request, call) => log.serveAppend(request, call)),
    serve(claims.awaitCommits, (request, call) => log.serveAwaitCommits(request, call)),
    serve(claims.acquirePermit, (request) => keeper.serveAcquire(request)),
    serve(claims.awaitPermits, (request, call) => keeper.serveAwait(request, call)),
    serve(claims.releasePermit, (request) => keeper.serveRelease(request)),
    serve(claims.renewPermits, (request) => keeper.serveRenew(request)),
    serve(claims.awaitLock, async (request) => locks.lines.serveAwait(request)),
    serve(claims.leaveLock, async (request) => locks.lines.serveLeave(request)),
    serve(claims.lockReleased, async (request) => locks.lines.serveReleased(request)),
    serve(claims.lockNext, async (request) => locks.serveNext(request)),
    serve(claims.lockTurn, async (request) => locks.serveTurn(request)),
  ];
}
