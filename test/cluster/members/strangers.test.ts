import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, LONG, type Node, until } from "../processes.ts";
import { Authority, type Credentials, MISSING_FOR_CERTIFICATES } from "./authority.ts";
import { LIVENESS, pingBytes, type Statement, syncBytes } from "./gossip-wire.ts";
import { changesOf, isWhole, listOf, metricsOf } from "./lists.ts";
import { LABEL, NO_ANSWER, Stranger, tcp } from "./stranger.ts";

// Outsiders, and insiders of other clusters, at the peer listeners of real processes: no member list changes, and the
// nodes serve on.

const LEASE_MS = 2_000;
/** What an attack may set off shows within this: probes, suspicions, comparisons of lists. */
const AFTERMATH_MS = LONG ? 10_000 : 1_500;
const FLOOD_MS = LONG ? 60_000 : 4_000;
const ROUNDS = LONG ? 200 : 20;
const PATIENCE_MS = 100;
/** Far above what nodes need for this, far below what they would if connections or messages stayed. */
const MAX_GROWTH_BYTES = 200e6;
const TEST_MS = FLOOD_MS + 60_000;
/** Where nobody is. */
const NOWHERE = "127.0.0.1:1";

let folder = "";
let cluster: Cluster;
let insider: Stranger;
let other: Authority;
let inside: Credentials;
let changes: Record<string, number[]>;
let memory: number[];

beforeAll(async () => {
  if (MISSING_FOR_CERTIFICATES !== null) return;
  folder = await mkdtemp(join(tmpdir(), "hedgerow-strangers-"));
  const authority = await Authority.make(folder, "cluster");
  other = await Authority.make(folder, "other");
  inside = await authority.issue("insider");
  insider = new Stranger(inside);
  cluster = await Cluster.start({ flags: await authority.flags() });
  await cluster.settled();
  await until("all take part", 10_000, () => isWhole(cluster.nodes));
}, TEST_MS);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  if (folder !== "") await rm(folder, { recursive: true });
});

function residentBytes(): Promise<number[]> {
  return Promise.all(
    cluster.nodes.map(async (node) => {
      const response = await fetch(`${node.url}/metrics`);
      return Number(/^process_resident_memory_bytes (\S+)$/m.exec(await response.text())?.[1]);
    }),
  );
}

function onAll<T>(attack: (node: Node) => Promise<T>): Promise<T[]> {
  return Promise.all(cluster.nodes.map(attack));
}

/** What an attack must leave as it was. */
function unharmed(): void {
  beforeEach(async () => {
    changes = await changesOf(cluster.nodes);
    memory = await residentBytes();
  });
  afterEach(async () => {
    await Bun.sleep(AFTERMATH_MS);
    expect(await changesOf(cluster.nodes)).toEqual(changes);
    await until("nobody is suspect", 5_000, () => isWhole(cluster.nodes));
    const growth = (await residentBytes()).map((bytes, i) => bytes - (memory[i] as number));
    expect(Math.max(...growth)).toBeLessThan(MAX_GROWTH_BYTES);
    const key = Math.random().toString(36);
    for (const [i, node] of cluster.nodes.entries()) {
      expect(node.running).toBe(true);
      const put = await node.put(key, node.address, `id-${i}`);
      expect(put.ok ? "written" : put).toBe("written");
    }
    const last = cluster.nodes.at(-1) as Node;
    expect(await last.entries(key)).toHaveLength(cluster.nodes.length);
    const sent = await last.demo("/broadcast", "hello");
    expect(sent.text.split("received the broadcast message [hello]")).toHaveLength(4);
  }, TEST_MS);
}

/** A newcomer, as a node would describe itself. */
function newcomer(change: Partial<Statement> = {}): Statement {
  return { address: NOWHERE, incarnation: BigInt(Date.now()), version: 1, ...change };
}

function joining(label: string, self = newcomer()): Uint8Array<ArrayBuffer> {
  return syncBytes({ label, leaseMs: LEASE_MS, self });
}

/** What the node's peers say of one of them, to be said again in other words. */
async function statementOf(node: Node): Promise<Statement> {
  const [listed] = (await listOf(node)).filter(({ address }) => address === node.address);
  const version = (await metricsOf(node))("cluster_node_lamport_time");
  return { address: node.address, incarnation: BigInt(listed?.incarnation ?? 0), version };
}

function outsiders(): void {
  unharmed();

  test("without a certificate, with another cluster's, or in plain text nobody is heard", async () => {
    const { cert, key } = await other.issue("outsider");
    const { ca } = inside;
    const strangers = {
      "no certificate": new Stranger({ ca }),
      "another cluster's certificate": new Stranger({ cert, key, ca }),
      "a certificate that it made itself": new Stranger({
        cert: await other.certificate(),
        key: await Bun.file(join(folder, "other-ca.key")).text(),
        ca,
      }),
      "plain text": new Stranger(null),
    };
    for (const [what, stranger] of Object.entries(strangers)) {
      const answers = await onAll((node) => stranger.call(node, "Sync", joining(LABEL)));
      expect([what, ...answers]).toEqual([what, NO_ANSWER, NO_ANSWER, NO_ANSWER]);
    }
  });

  test("an insider of a cluster with another label is refused, wherever it says so", async () => {
    const before = await Promise.all(cluster.nodes.map(metricsOf));
    for (const label of ["another", null, `${LABEL} `, ""]) {
      const answers = await onAll((node) => insider.call(node, "Sync", joining(LABEL), label));
      expect([label, ...new Set(answers)]).toEqual([label, "failed_precondition"]);
    }
    // With the right label around it: who has it, but means another cluster.
    const inner = await onAll((node) => insider.call(node, "Sync", joining("another")));
    const ping = await onAll((node) => {
      const self = newcomer();
      const bytes = pingBytes({ label: "another", target: node.address, self, updates: [self] });
      return insider.call(node, "Ping", bytes);
    });
    expect([...new Set([...inner, ...ping])]).toEqual(["failed_precondition"]);
    for (const [i, after] of (await Promise.all(cluster.nodes.map(metricsOf))).entries()) {
      const rise = (name: string, labels = "") =>
        after(name, labels) - (before[i]?.(name, labels) ?? 0);
      expect(rise("peer_strangers_total")).toBe(4);
      const event = "cluster_node_gossip_received_events_total";
      expect(rise(event, '{event="foreign_message"}')).toBe(2);
    }
  });

  test(
    "garbage on TCP, within TLS, within HTTP/2, and connections that say nothing",
    async () => {
      const plain = new Stranger(null);
      const silent = cluster.nodes.flatMap((node) => Array.from({ length: 50 }, () => tcp(node)));
      for (const socket of silent) socket.on("error", () => {}); // the listener may end it
      for (let round = 0; round < ROUNDS; round++) {
        const noise = crypto.getRandomValues(new Uint8Array(1 + Math.floor(Math.random() * 4_000)));
        const hello = CLIENT_HELLO.slice(0, 1 + (round % CLIENT_HELLO.length));
        const inHttp2 = Buffer.concat([PREFACE, SETTINGS, noise]);
        await onAll((node) =>
          Promise.all([
            plain.send(node, noise, PATIENCE_MS),
            plain.send(node, hello, PATIENCE_MS),
            plain.send(node, Buffer.concat([CLIENT_HELLO, noise]), PATIENCE_MS),
            plain.send(node, Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), PATIENCE_MS),
            plain.send(node, inHttp2, PATIENCE_MS),
            insider.send(node, noise, PATIENCE_MS),
            insider.send(node, inHttp2, PATIENCE_MS),
            insider.send(node, Buffer.concat([PREFACE, ...Array(500).fill(PING)]), PATIENCE_MS),
          ]),
        );
      }
      for (const socket of silent) socket.destroy();
    },
    TEST_MS,
  );
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const PING = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
/** The beginning of one. */
const CLIENT_HELLO = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...new Uint8Array(32), 0]);

function insiders(): void {
  unharmed();

  const malformed: Readonly<Record<string, Partial<Statement>>> = {
    "incarnation 0": { incarnation: 0n },
    "incarnation 2^53": { incarnation: 2n ** 53n },
    "incarnation 2^64 - 1": { incarnation: 2n ** 64n - 1n },
    "version 2^32 - 1": { version: 2 ** 32 - 1 },
    "no address": { address: "" },
    "a name of 100 KB": { name: "x".repeat(100_000) },
    "no liveness": { liveness: 0 },
    "an unknown liveness": { liveness: 9 },
    "an unknown state": { state: 9 },
    "a thousand accusers": { liveness: LIVENESS.suspect, accusers: Array(1_000).fill("x") },
  };
  test("a message with a statement that no node makes is refused whole", async () => {
    for (const [what, change] of Object.entries(malformed)) {
      const answers = await onAll(async (node) => {
        const [self, mate] = [await statementOf(node), cluster.nodes.find((each) => each !== node)];
        const forged = { ...(await statementOf(mate as Node)), ...change };
        const updates = [newcomer(), forged, { ...self, ...change }, newcomer(change)];
        const ping = { label: LABEL, target: node.address, self: await statementOf(mate as Node) };
        const sync = { label: LABEL, leaseMs: LEASE_MS, self: ping.self };
        return [
          await insider.call(node, "Ping", pingBytes({ ...ping, updates })),
          await insider.call(node, "Ping", pingBytes({ ...ping, self: forged })),
          await insider.call(node, "Sync", syncBytes({ ...sync, members: updates })),
          await insider.call(node, "Sync", syncBytes({ ...sync, self: newcomer(change) })),
        ];
      });
      expect([what, ...new Set(answers.flat())]).toEqual([what, "invalid_argument"]);
    }
  });

  test("torn and oversized messages are refused", async () => {
    const whole = joining(LABEL);
    for (let length = 1; length < whole.length; length += 7) {
      const answers = await onAll((node) => insider.call(node, "Sync", whole.slice(0, length)));
      expect([length, ...new Set(answers)]).toEqual([length, "invalid_argument"]);
    }
    const crowd = Array.from({ length: 10_001 }, (_, i) => newcomer({ address: `10.0.0.1:${i}` }));
    const list = syncBytes({ label: LABEL, leaseMs: LEASE_MS, self: newcomer(), members: crowd });
    const tooMany = await onAll((node) => insider.call(node, "Sync", list));
    expect([...new Set(tooMany)]).toEqual(["invalid_argument"]);
    const bulky = Buffer.concat([whole, Buffer.alloc(5 * 1024 * 1024)]);
    const tooLarge = await onAll((node) => insider.call(node, "Sync", bulky));
    expect([...new Set(tooLarge)]).toEqual(["resource_exhausted"]);
    const endless = await onAll((node) => insider.call(node, "Sync", endlessBody(whole)));
    for (const answer of endless) expect([NO_ANSWER, "resource_exhausted"]).toContain(answer);
  });

  test(
    "floods of suspicion and of deaths, with forged witnesses, remove nobody",
    async () => {
      const until = performance.now() + FLOOD_MS;
      let sent = 0;
      const flood = async (node: Node, liveness: number) => {
        while (performance.now() < until) {
          const statements = await Promise.all(cluster.nodes.map(statementOf));
          const accusers = cluster.nodes.map(({ address }) => address);
          const updates = statements.map((each) => ({ ...each, liveness, accusers }));
          const self = statements[sent % statements.length] as Statement;
          const bytes = pingBytes({ label: LABEL, target: node.address, self, updates });
          for (let i = 0; i < 20; i++, sent++) await insider.call(node, "Ping", bytes);
        }
      };
      await onAll((node) =>
        Promise.all([flood(node, LIVENESS.suspect), flood(node, LIVENESS.dead)]),
      );
      const refuted = await Promise.all(cluster.nodes.map(metricsOf));
      for (const metrics of refuted) {
        expect(metrics("cluster_node_gossip_refutations_total")).toBeGreaterThan(10);
      }
      console.log(`floods: ${sent} messages in ${FLOOD_MS} ms`);
    },
    TEST_MS,
  );
}

/** 200 MB, in pieces, for whoever reads on. */
function endlessBody(first: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  let left = 200;
  return new ReadableStream({
    start: (controller) => controller.enqueue(first),
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(1e6));
      else controller.close();
    },
  });
}

function replays(): void {
  test(
    "what a member said before it left brings nobody back when it is said again",
    async () => {
      const said: (readonly ["Ping" | "Sync", Uint8Array<ArrayBuffer>])[] = [];
      const say = async (node: Node, method: "Ping" | "Sync", bytes: Uint8Array<ArrayBuffer>) => {
        said.push([method, bytes]);
        expect(await insider.call(node, method, bytes)).toBe("ok");
      };
      // A real one, that joins, is talked of, and says good-bye.
      const [first, second] = cluster.nodes as [Node, Node];
      const self = newcomer();
      const joined = async (lists: boolean) => {
        const all = await Promise.all(cluster.nodes.map(listOf));
        return all.every((list) => list.some(({ address }) => address === NOWHERE) === lists);
      };
      await say(first, "Sync", joining(LABEL, self));
      await until("all list it", 5_000, () => joined(true));
      const target = { label: LABEL, target: second.address };
      await say(second, "Ping", pingBytes({ ...target, self, updates: [self] }));
      const left = { ...self, version: 2, liveness: LIVENESS.left };
      await say(second, "Ping", pingBytes({ ...target, self: left, updates: [left] }));
      await until("nobody lists it", 5_000, () => joined(false));
      await until("all know each other alone", 5_000, () => isWhole(cluster.nodes));

      const before = await changesOf(cluster.nodes);
      const starts = (await Promise.all(cluster.nodes.map(statementOf))).map((each) => ({
        ...each,
        incarnation: each.incarnation - 1n,
      }));
      for (let i = 0; i < 5 * ROUNDS; i++) {
        await onAll(async (node) => {
          for (const [method, bytes] of said) await insider.call(node, method, bytes);
          // And of living members what earlier starts of them may have said.
          const liveness = 1 + (i % 4);
          const updates = starts.map((each) => ({ ...each, liveness }));
          const ping = { label: LABEL, target: node.address, updates };
          await insider.call(
            node,
            "Ping",
            pingBytes({ ...ping, self: starts[i % 3] as Statement }),
          );
        });
        expect(await changesOf(cluster.nodes)).toEqual(before);
      }
      await Bun.sleep(AFTERMATH_MS);
      expect(await changesOf(cluster.nodes)).toEqual(before);
      expect(await isWhole(cluster.nodes)).toBe(true);
    },
    TEST_MS,
  );
}

const suites = { outsiders, insiders, replays };
if (MISSING_FOR_CERTIFICATES !== null) {
  process.stderr.write(`SKIPPED: strangers at the peer listener: ${MISSING_FOR_CERTIFICATES}\n`);
}
for (const [name, suite] of Object.entries(suites)) {
  describe.skipIf(MISSING_FOR_CERTIFICATES !== null)(name, suite);
}
