// The limit of put and get on Spanner: one process that makes the calls which ours cannot do without, on
// sessions of its own, and nothing else. As a server it takes puts through the same RPC as ours.
import type { protos } from "@google-cloud/spanner";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { serve } from "../../src/rpc/port.ts";
import { dataClient } from "../../test/spanner/database.ts";
import { keysFor, VALUE } from "../keys.ts";
import type { Call } from "../load.ts";
import { type Info, playRole } from "../roles.ts";
import { servePeers } from "./peers.ts";

type Value = protos.google.protobuf.IValue;

const CALL = { timeout: 10_000, retry: null };
const LOCK = "lock";
const LOG_COLUMNS = ["key", "id", "value", "leader", "timestamp"];
const LEADER = "127.0.0.1:12345";

const text = (stringValue: string): Value => ({ stringValue });
const COMMIT_TIMESTAMP = text("spanner.commit_timestamp()");

/** Calls of one database, each with a session to itself. */
class Bare {
  readonly #idle: string[] = [];
  readonly #client;

  constructor(
    host: string,
    private readonly database: string,
  ) {
    this.#client = dataClient(host);
  }

  async session<T>(work: (session: string) => Promise<T>): Promise<T> {
    const session = this.#idle.pop() ?? (await this.#create());
    const result = await work(session);
    this.#idle.push(session);
    return result;
  }

  /** The newest version of a key, as a strong read. */
  latest(key: string): Promise<unknown> {
    return this.session((session) =>
      this.#client.executeSql(
        {
          session,
          sql: `SELECT id, value, leader, timestamp FROM \`logtable\`
          WHERE key = @key AND timestamp IS NOT NULL ORDER BY timestamp DESC, id DESC LIMIT @count`,
          params: { fields: { key: text(key), count: text("1") } },
          paramTypes: { count: { code: "INT64" } },
        },
        CALL,
      ),
    );
  }

  async takeLock(): Promise<void> {
    const columns = ["name", "heartbeat", "token", "writer"];
    const row = [text(LOCK), COMMIT_TIMESTAMP, COMMIT_TIMESTAMP, text(LEADER)];
    await this.session((session) =>
      this.#client.commit(
        {
          session,
          singleUseTransaction: { readWrite: {} },
          mutations: [{ insert: { table: "locktable", columns, values: [{ values: row }] } }],
        },
        CALL,
      ),
    );
  }

  /** The token, read in a read-write transaction that it begins. */
  async token(session: string) {
    const [answer] = await this.#client.read(
      {
        session,
        table: "locktable",
        keySet: { keys: [{ values: [text(LOCK)] }] },
        columns: ["token"],
        transaction: { begin: { readWrite: {} } },
      },
      CALL,
    );
    const token = answer.rows?.[0]?.values?.[0]?.stringValue;
    const transactionId = answer.metadata?.transaction?.id;
    if (token == null || transactionId == null) throw new Error("the lock's row is gone");
    return { token, transactionId };
  }

  async commit(token: string, rows: readonly Value[][]): Promise<void> {
    await this.session(async (session) => {
      const { token: found, transactionId } = await this.token(session);
      if (found !== token) throw new Error("the lock was taken over");
      const values = rows.map((row) => ({ values: row }));
      const insert = { table: "logtable", columns: LOG_COLUMNS, values };
      await this.#client.commit({ session, transactionId, mutations: [{ insert }] }, CALL);
    });
  }

  async #create(): Promise<string> {
    const [session] = await this.#client.createSession({ database: this.database }, CALL);
    return session.name as string;
  }
}

interface WaitingPut {
  readonly row: Value[];
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** One commit is in flight at a time; what arrives meanwhile travels in the next. */
class GroupCommits {
  #waiting: WaitingPut[] = [];
  #flushing = false;

  constructor(
    private readonly bare: Bare,
    private readonly token: string,
  ) {}

  put(key: string): Promise<void> {
    const row = [key, crypto.randomUUID(), VALUE, LEADER].map(text);
    return new Promise((done, failed) => {
      this.#waiting.push({ row: [...row, COMMIT_TIMESTAMP], done, failed });
      if (this.#flushing) return;
      this.#flushing = true;
      setImmediate(() => void this.#flush());
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const rows = batch.map(({ row }) => row);
        await this.bare.commit(this.token, rows);
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    this.#flushing = false;
  }
}

function bareOf({ emulator, path }: Info): Bare {
  return new Bare(String(emulator), String(path));
}

/** Takes the lock, for puts under its token. */
async function lockedLog(info: Info): Promise<GroupCommits> {
  const bare = bareOf(info);
  await bare.takeLock();
  const { token } = await bare.session((session) => bare.token(session));
  return new GroupCommits(bare, token);
}

async function callOf(info: Info): Promise<Call> {
  const key = keysFor(info);
  if (info.call === "get") {
    const bare = bareOf(info);
    return (n) => bare.latest(key(n));
  }
  const log = await lockedLog(info);
  return (n) => log.put(key(n));
}

const { append } = PeerService.method;

if (import.meta.main) {
  await playRole({
    server: async (info) => {
      const log = await lockedLog(info);
      const put = async ({ key }: { key: string }) => {
        await log.put(key);
        return { timestamp: Date.now() * 1000 };
      };
      return servePeers([serve(append, put)], true, [append]);
    },
    client: callOf,
  });
}
