// A server that answers as Google's would where the emulator cannot: with refusals, slowly, or never. Its
// answers are bytes of protocol buffers, written by hand. Imports nothing of src.
import { Metadata, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";

/** An answer, a refusal, or never one. */
export type Answer = Uint8Array | Refusal | "never";

export interface Refusal {
  readonly code: number;
  /** What there is none of, as in "Database". */
  readonly missing?: string;
}

/** By the method's path, as in `/google.spanner.v1.Spanner/CreateSession`; `call` counts from 0. */
export type Answers = Readonly<Record<string, (call: number, request: Uint8Array) => Answer>>;

export interface FakeGoogle extends AsyncDisposable {
  /** `host:port` */
  readonly host: string;
  /** How often each method was called. */
  readonly calls: ReadonlyMap<string, number>;
}

const SPANNER = "/google.spanner.v1.Spanner/";
const ADMIN = "/google.spanner.admin.database.v1.DatabaseAdmin/";
export const METHODS = {
  createSession: `${SPANNER}CreateSession`,
  deleteSession: `${SPANNER}DeleteSession`,
  executeSql: `${SPANNER}ExecuteSql`,
  createDatabase: `${ADMIN}CreateDatabase`,
  updateDatabaseDdl: `${ADMIN}UpdateDatabaseDdl`,
  testIamPermissions: `${ADMIN}TestIamPermissions`,
  getOperation: "/google.longrunning.Operations/GetOperation",
} as const;

/** Sessions can be had, and every query finds nothing. */
export const EMPTY_DATABASE: Answers = {
  [METHODS.createSession]: () => text(1, "s"),
  [METHODS.deleteSession]: () => new Uint8Array(),
  [METHODS.executeSql]: () => new Uint8Array(),
};

const bytesAsTheyAre = {
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
  requestStream: false,
  responseStream: false,
} as const;

export async function fakeGoogle(answers: Answers): Promise<FakeGoogle> {
  const calls = new Map<string, number>();
  const server = new Server();
  const paths = Object.values(METHODS);
  const service: ServiceDefinition = Object.fromEntries(
    paths.map((path) => [path, { path, ...bytesAsTheyAre }]),
  );
  const methods = paths.map((path) => [
    path,
    ({ request }: { request: Buffer }, reply: (refusal: object | null, bytes?: Buffer) => void) => {
      const call = calls.get(path) ?? 0;
      calls.set(path, call + 1);
      const answer = answers[path]?.(call, request) ?? { code: 12 };
      if (answer === "never") return;
      if ("code" in answer) reply(statusOf(answer));
      else reply(null, Buffer.from(answer));
    },
  ]);
  server.addService(service, Object.fromEntries(methods));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    host: `127.0.0.1:${port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

function statusOf({ code, missing }: Refusal) {
  const metadata = new Metadata();
  if (missing !== undefined) {
    const resource = text(1, `type.googleapis.com/google.spanner.admin.${missing}`);
    const any = [text(1, "type.googleapis.com/google.rpc.ResourceInfo"), part(2, resource)];
    const status = [whole(1, code), part(3, Buffer.concat(any))];
    metadata.set("grpc-status-details-bin", Buffer.concat(status));
  }
  return { code, details: "refused", metadata };
}

/** A field of a message: bytes, text, or a whole number. */
export function part(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}
export const text = (field: number, value: string) => part(field, Buffer.from(value));
export const whole = (field: number, value: number) =>
  Buffer.concat([varint(field * 8), varint(value)]);

/** A result of one row of texts. */
export function row(...values: string[]): Uint8Array {
  return part(2, Buffer.concat(values.map((value) => part(1, text(3, value)))));
}

/** An operation, under way, done, or failed with a status. */
export function operation(state: "running" | "done" | number): Uint8Array {
  const name = text(1, "projects/p/instances/ii/databases/dd/operations/o");
  if (state === "running") return name;
  const done = whole(3, 1);
  if (state === "done") return Buffer.concat([name, done]);
  const status = [whole(1, state), text(2, "the work failed")];
  return Buffer.concat([name, done, part(4, Buffer.concat(status))]);
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}
