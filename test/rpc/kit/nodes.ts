import { afterEach } from "bun:test";
import { PeerService } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { type Logger, silentLogger } from "../../../src/observe/logger.ts";
import {
  type PeerListener,
  type PeerListenerOptions,
  startPeerListener,
} from "../../../src/rpc/listener.ts";
import { connectPeers, type PeerClients, type PeersOptions } from "../../../src/rpc/peers.ts";
import { type PeerHandler, type PeerRoute, serve } from "../../../src/rpc/port.ts";
import { systemRuntime } from "../../../src/runtime/system.ts";
import type {
  DeliverRequestSchema,
  DeliverResponseSchema,
} from "../../../src/gen/hedgerow/v1/peer_pb.ts";

export const runtime = systemRuntime();
export const { deliver, append, announce } = PeerService.method;

const opened: (() => unknown)[] = [];

/** Closes everything that a test opened, in reverse order. */
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

export function atEnd(close: () => unknown): void {
  opened.push(close);
}

export function listen(options: Partial<PeerListenerOptions> = {}): PeerListener {
  const listener = startPeerListener({
    runtime,
    logger: silentLogger,
    host: "127.0.0.1",
    port: 0,
    tls: null,
    routes: [],
    graceMs: 100,
    ...options,
  });
  atEnd(() => listener.stop());
  return listener;
}

export function peers(options: Partial<PeersOptions> = {}): PeerClients {
  const clients = connectPeers({ clock: runtime.clock, tls: () => null, ...options });
  atEnd(() => clients.close());
  return clients;
}

export function addressOf(listener: { readonly port: number }): string {
  return `127.0.0.1:${listener.port}`;
}

/** A route that serves Deliver. */
export function deliverRoute(
  handler: PeerHandler<typeof DeliverRequestSchema, typeof DeliverResponseSchema>,
): PeerRoute {
  return serve(deliver, handler);
}

export const echo = deliverRoute(async ({ data }) => ({ data }));

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

export class RecordingLogger implements Logger {
  readonly lines: string[] = [];
  readonly #record = (message: string, fields: object = {}) => {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  readonly debug = this.#record;
  readonly info = this.#record;
  readonly warn = this.#record;
  readonly error = this.#record;
}
