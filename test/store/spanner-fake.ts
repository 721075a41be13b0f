// A client of Spanner's API whose answers are the test's, on a clock that passes by hand.
import type { CallOptions } from "../../src/runtime/runtime.ts";
import type { Mutation } from "../../src/store/spanner/api.ts";
import type { Writes } from "../../src/store/spanner/attempt.ts";
import type { SpannerClient } from "../../src/store/spanner/client.ts";
import { Connection, type ConnectionOptions } from "../../src/store/spanner/connection.ts";
import { Grpc } from "../../src/store/spanner/errors.ts";
import type { Transaction } from "../../src/store/spanner/transaction.ts";
import { oneKey } from "../../src/store/spanner/values.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { FakeStream } from "./spanner-stream.ts";

export type Method =
  | "createSession"
  | "deleteSession"
  | "executeSql"
  | "executeStreamingSql"
  | "read"
  | "streamingRead"
  | "commit"
  | "rollback";

/** What Spanner does with a call: answers, refuses with a code (null: no code), or says nothing. */
export type Script = { readonly answer: object } | { readonly code: number | null } | "silence";

export interface Call {
  readonly method: Method;
  // biome-ignore lint/suspicious/noExplicitAny: of each method another message
  readonly request: any;
  readonly options: { timeout: number; retry: null; signal?: AbortSignal | undefined };
  /** The answer of a call that was left in silence. */
  answer(message?: object): void;
  fail(code: number | null): void;
}

export const TOKEN = { stringValue: "2026-01-02T03:04:05.678901Z" };
/** When each commit takes place, in microseconds. */
export const COMMIT_MICROS = 1_700_000_000_000_123;

/** As Google's clients throw them; `missing` is what a NOT_FOUND does not find. */
export function refusal(code: number | null, missing?: string): Error {
  const details = missing && {
    statusDetails: [{ resourceType: `type.googleapis.com/google.spanner.v1.${missing}` }],
  };
  return Object.assign(new Error(`code ${code}`), code !== null && { code }, details);
}

export class FakeSpanner {
  readonly calls: Call[] = [];
  /** Told of each call before it is answered; gives what is to become of it, or nothing for the usual. */
  onCall: (call: Call) => Script | Error | undefined = () => undefined;
  /** What it has to say comes although its call was given up: it was on the way already. */
  deaf = false;
  closed = false;
  readonly #scripts = new Map<Method, (Script | Error)[]>();
  #made = 0;

  constructor(
    readonly clock = new ManualClock(),
    readonly channel = { getConnectivityState: () => 2, watchConnectivityState: () => {} },
  ) {}

  /** What becomes of the next calls of a method, one after the other; then they are answered as usual. */
  next(method: Method, ...scripts: (Script | Error)[]): void {
    this.#scripts.set(method, [...(this.#scripts.get(method) ?? []), ...scripts]);
  }

  of(method: Method): Call[] {
    return this.calls.filter((call) => call.method === method);
  }

  last(method: Method): Call {
    const call = this.of(method).at(-1);
    if (call === undefined) throw new Error(`${method} was not called`);
    return call;
  }

  get client(): SpannerClient {
    const unary = (method: Method) => (request: object, options: Call["options"]) =>
      this.#unary(method, request, options).then((message) => [message]);
    const streaming = (method: Method) => (request: object, options: Call["options"]) => {
      // Google's library does not end streams with the signal.
      const cancel = new AbortController();
      const parts = this.#unary(method, request, { ...options, signal: cancel.signal });
      return new FakeStream(parts, () => cancel.abort());
    };
    this.#client ??= {
      initialize: async () => ({ getChannel: () => this.channel }),
      close: async () => {
        this.closed = true;
      },
      createSession: unary("createSession"),
      deleteSession: unary("deleteSession"),
      executeSql: unary("executeSql"),
      executeStreamingSql: streaming("executeStreamingSql"),
      read: unary("read"),
      streamingRead: streaming("streamingRead"),
      commit: unary("commit"),
      rollback: unary("rollback"),
    } as unknown as SpannerClient;
    return this.#client;
  }
  #client: SpannerClient | undefined;

  #unary(method: Method, request: object, options: Call["options"]): Promise<object> {
    const { promise, resolve, reject } = Promise.withResolvers<object>();
    const fail = (code: number | null) => reject(refusal(code));
    const usual = () => this.#usual(method, request);
    const call: Call = { method, request, options, fail, answer: (m = usual()) => resolve(m) };
    this.calls.push(call);
    if (this.closed) fail(null);
    // As gRPC ends a call: by its deadline, and with its signal.
    const timer = this.clock.schedule(options.timeout, () => fail(Grpc.DEADLINE_EXCEEDED));
    options.signal?.addEventListener("abort", () => this.deaf || fail(Grpc.CANCELLED));
    const script = this.onCall(call) ?? this.#scripts.get(method)?.shift();
    if (script === undefined) call.answer();
    else if (script instanceof Error) reject(script);
    else if (script === "silence") return promise.finally(() => timer.cancel());
    else if ("code" in script) fail(script.code);
    else call.answer(script.answer);
    return promise.finally(() => timer.cancel());
  }

  #usual(method: Method, request: { transaction?: { begin?: object } }): object {
    this.#made++;
    if (method === "createSession") return { name: `session-${this.#made}` };
    if (method === "commit") {
      return { commitTimestamp: { seconds: String(1_700_000_000), nanos: 123_456 } };
    }
    const begun = request.transaction?.begin && { id: new Uint8Array([this.#made]) };
    const rowType = { fields: [{ name: "token" }] };
    const row = { values: [TOKEN] };
    return { metadata: { rowType, transaction: begun ?? null }, rows: [row], ...row };
  }
}

export const MUTATIONS: Mutation[] = [{ delete: { table: "t", keySet: oneKey("k") } }];

/** A connection to a fake Spanner, whose pauses are as long as they can be. */
export class FakeWorld {
  readonly spanner = new FakeSpanner();
  readonly clock = this.spanner.clock;
  readonly connection: Connection;

  constructor(options: Partial<ConnectionOptions> = {}) {
    const runtime = { clock: this.clock, random: { next: () => 0, id: () => "id" } };
    const { client } = this.spanner;
    this.connection = new Connection({ client, database: "d", runtime, ...options });
  }

  /** Reads a cell, and writes. */
  transact(options: CallOptions = {}, mutations = MUTATIONS): Promise<number> {
    const work = async (transaction: Transaction): Promise<Writes<number>> => {
      await transaction.read("t", oneKey("k"), ["token"]);
      return { mutations, result: (commitMicros) => commitMicros };
    };
    return this.connection.readWrite("change", options, work);
  }

  write(options: CallOptions = {}): Promise<number> {
    return this.connection.write("insert", options, MUTATIONS);
  }

  async query(options: CallOptions = {}): Promise<number> {
    return (await this.connection.query("look", options, { sql: "SELECT 1" })).length;
  }

  /** The times of calls of a method, in milliseconds, while `ms` pass by in small steps. */
  async timesOf(method: Method, ms: number): Promise<number[]> {
    const times: number[] = [];
    for (let passed = 0; passed <= ms; passed += 10) {
      const before = this.spanner.of(method).length;
      await this.pass(passed === 0 ? 0 : 10);
      for (let n = before; n < this.spanner.of(method).length; n++) times.push(passed);
    }
    return times;
  }

  /** So much time passes in steps of 10 ms, and all that can be done meanwhile is done. */
  async pass(ms: number): Promise<void> {
    await settled();
    for (let left = ms; left > 0; left -= 10) {
      this.clock.pass(Math.min(10, left));
      await settled();
    }
  }
}

/** All that waits for nothing but its turn is done. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How a promise has ended by now; "pending" if it has not. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  const pending = settled().then(() => "pending");
  return Promise.race([promise.catch((error: unknown) => error), pending]);
}
