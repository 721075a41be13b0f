import { networkInterfaces } from "node:os";
import { HedgerowError } from "../errors.ts";
import { bind } from "../rpc/bind.ts";
import { advertisedIp, unreachable } from "./advertise.ts";

export const DEFAULT_PEER_PORT = 8080;
const LOOPBACK = "127.0.0.1";

/** Where to listen, and what others are told. */
export interface PeerAddress {
  /** The IP to bind. */
  readonly host: string;
  readonly port: number;
  /** `host:port`, IPv6 in brackets. */
  readonly address: string;
}

/**
 * Resolves `ip:port`, `name:port`, `:port` (the first usable address of this machine) and the empty string
 * (that, with port 8080). Port 0 picks a free one. Throws `invalid_argument` with the mend.
 */
export async function resolvePeerAddress(given: string): Promise<PeerAddress> {
  const { host, port } = splitAddress(given === "" ? `:${DEFAULT_PEER_PORT}` : given);
  // Without a network the processes of this machine are a cluster all the same.
  const ip =
    host === "" ? (advertisedIp(networkInterfaces()) ?? LOOPBACK) : await resolve(host, given);
  const problem = unreachable(ip);
  if (problem !== null) {
    throw new HedgerowError(
      "invalid_argument",
      `nobody can reach a peer at ${ip}, which ${problem}: give the address that others reach, or :${port}`,
    );
  }
  const bound = port === 0 ? await freePort(ip) : port;
  return { host: ip, port: bound, address: joinAddress(ip, bound) };
}

/** Parts of `host:port` or `[v6]:port`; the host may be empty. Throws `invalid_argument`. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new HedgerowError(
      "invalid_argument",
      `${address} is no address: give host:port or :port`,
    );
  }
  return { host: match[1] ?? match[2] ?? "", port };
}

/** Whether others can be asked there: `name:port`, `ip:port` or `[v6]:port`. */
export function isAddress(text: string): boolean {
  return /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}$/.test(text) && URL.canParse(`http://${text}`);
}

export function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1";
}

export function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

async function resolve(host: string, given: string): Promise<string> {
  const { lookup } = await import("node:dns/promises"); // the http listener, which starts first, does without
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    throw new HedgerowError(
      "invalid_argument",
      `${given} cannot be resolved: give an IP address or a name that the resolver knows`,
      { cause },
    );
  }
}

/** A port that is free now; somebody else could still take it before it is bound. */
async function freePort(host: string): Promise<number> {
  const probe = bind({ host, port: 0, fetch: () => new Response() });
  const port = probe.port as number;
  await probe.stop(true);
  return port;
}
