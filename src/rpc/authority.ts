import { createPrivateKey, X509Certificate } from "node:crypto";
import { HedgerowError } from "../errors.ts";
import type { CallOptions, Clock } from "../runtime/runtime.ts";
import type { LogStore, StoredEntry } from "../store/ports.ts";
import { authorityName, createAuthority, type KeyAndCertificate } from "./certificates.ts";

/** The log's key under which the cluster keeps its authorities, one to an id: 1, 2, 3 and so on. */
export const AUTHORITY_KEY = "__hedgerow/ca";

/** So many of the newest are trusted: while one follows another, certificates of both are about. */
const TRUSTED = 2;
/** Nodes ask the store for new authorities so often. */
export const RELOAD_INTERVAL_MS = 5 * 60_000;
/** A node that has not read an authority yet would refuse what it signed. */
export const SETTLING_MS = 2 * RELOAD_INTERVAL_MS;
/** By then every node has a certificate of the newest authority, and the one before it may go. */
const ROTATED_MS = SETTLING_MS + 2 * RELOAD_INTERVAL_MS;
const ATTEMPTS = 3;
const HOUR_MS = 3_600_000;
const TWENTY_YEARS_MS = 20 * 365 * 24 * HOUR_MS;

/** Where authorities are kept. */
export type AuthorityLog = Pick<LogStore, "append" | "read">;

export interface Authorities {
  /** Signs new certificates: the newest, once all nodes have had the time to learn of it. */
  readonly signer: KeyAndCertificate;
  /** The certificates that peers' are checked against, PEM, the newest first. */
  readonly trusted: readonly string[];
}

/**
 * The cluster's authorities. Where the store has none, puts back what signed until now (`known`), for then
 * the database was lost under a running cluster; or makes the first one. Of several nodes that do so at once
 * one wins, and all take the winner's. `self` is this node's address.
 */
export async function loadAuthorities(
  log: AuthorityLog,
  clock: Clock,
  self: string,
  known: Authorities | null,
  options: CallOptions = {},
): Promise<Authorities> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const rows = newestRows(await log.read(AUTHORITY_KEY, -1, options));
    const authorities = rows.map(parse);
    const [newest, older] = authorities;
    if (newest !== undefined) {
      const ageMs = (clock.wallMicros() - (rows[0]?.timestamp ?? 0)) / 1e3;
      const signer = older === undefined || ageMs > SETTLING_MS ? newest : older;
      return { signer, trusted: authorities.map(({ cert }) => cert) };
    }
    await insertFirst(log, known?.signer ?? newAuthority(clock), self, options);
  }
  throw new HedgerowError(
    "store_failed",
    `${AUTHORITY_KEY} was written but cannot be read: check the log table`,
  );
}

/**
 * Puts a new authority beside the newest, which stays trusted until the next rotation. Nodes trust it within
 * RELOAD_INTERVAL_MS, and show certificates of it from SETTLING_MS on. Gives its number. Throws `not_found` where
 * there is none to follow, and `conflict` while an earlier rotation is under way: nodes may have nothing but
 * certificates of the authority that would go.
 */
export async function rotateAuthority(
  log: AuthorityLog,
  clock: Clock,
  self: string,
  options: CallOptions = {},
): Promise<number> {
  const [newest, older] = newestRows(await log.read(AUTHORITY_KEY, -1, options));
  if (newest === undefined) {
    throw new HedgerowError(
      "not_found",
      "this store has no authority yet: the first node that starts with --tls auto makes one",
    );
  }
  const ageMs = clock.wallMicros() / 1e3 - newest.timestamp / 1e3;
  if (older !== undefined && ageMs < ROTATED_MS) throw underWay(newest.id, ROTATED_MS - ageMs);
  const id = Number(newest.id) + 1;
  const value = JSON.stringify(newAuthority(clock));
  const entry = { key: AUTHORITY_KEY, id: String(id), value, leader: self };
  const [outcome] = await log.append([entry], null, options);
  if (outcome?.kind !== "written") throw underWay(entry.id, ROTATED_MS);
  return id;
}

function underWay(id: string, leftMs: number): HedgerowError {
  const minutes = Math.ceil(leftMs / 60_000);
  return new HedgerowError(
    "conflict",
    `authority ${id} is still being taken up: rotate again in ${minutes} min`,
  );
}

function newAuthority(clock: Clock): KeyAndCertificate {
  const nowMs = clock.wallMicros() / 1e3;
  // An hour back, for nodes whose clocks are behind this one's.
  return createAuthority({
    notBeforeMs: nowMs - HOUR_MS,
    notAfterMs: nowMs + TWENTY_YEARS_MS,
  });
}

async function insertFirst(
  log: AuthorityLog,
  { key, cert }: KeyAndCertificate,
  self: string,
  options: CallOptions,
): Promise<void> {
  const value = JSON.stringify({ key, cert });
  try {
    // Whether it was written or another one was there before: the next read tells.
    await log.append([{ key: AUTHORITY_KEY, id: "1", value, leader: self }], null, options);
  } catch (error) {
    if (!HedgerowError.is(error, "outcome_unknown")) throw error;
  }
}

function newestRows(rows: readonly StoredEntry[]): StoredEntry[] {
  return rows
    .filter(({ id }) => /^[1-9]\d{0,14}$/.test(id))
    .sort((a, b) => Number(b.id) - Number(a.id))
    .slice(0, TRUSTED);
}

function parse({ id, value }: StoredEntry): KeyAndCertificate {
  try {
    const { key, cert } = JSON.parse(value) as KeyAndCertificate;
    const parsed = new X509Certificate(cert);
    const ours = parsed.subject === `CN=${authorityName(parsed.publicKey)}`;
    if (ours && parsed.checkPrivateKey(createPrivateKey(key))) return { key, cert };
  } catch (error) {
    throw damaged(id, error);
  }
  throw damaged(id);
}

function damaged(id: string, cause?: unknown): HedgerowError {
  const where = `${AUTHORITY_KEY}, id ${id}`;
  return new HedgerowError(
    "store_failed",
    `${where} in the log table is no authority: restore it, or delete the rows of that key and restart all nodes`,
    { cause },
  );
}
