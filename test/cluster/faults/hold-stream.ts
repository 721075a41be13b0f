// HoldLock and HoldSemaphore of the client API, as Connect's JSON streams. Imports nothing of src.
import type { Answer, Node } from "../processes.ts";
import { failureOf } from "./failure.ts";

/** What the node says when it grants, and again while the claim is held. */
export interface Held {
  /** Of a lock: decimal. */
  readonly token: string;
}

/** The claim was not granted, or it was lost; the code is Hedgerow's own. */
export class HoldFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const HEADER_BYTES = 5;
const END_FLAG = 2;

/** Ends with the claim. Throws HoldFailure. */
export async function* holdStream(
  node: Node,
  method: "HoldLock" | "HoldSemaphore",
  request: object,
  signal: AbortSignal,
): AsyncGenerator<Held, void> {
  for await (const { flags, text } of envelopes(await open(node, method, request, signal))) {
    if ((flags & END_FLAG) !== 0) {
      const { error } = JSON.parse(text) as { error?: Extract<Answer<unknown>, { ok: false }> };
      if (error !== undefined) throw new HoldFailure(failureOf(error).code, error.message);
      return;
    }
    const { token = "" } = JSON.parse(text) as { token?: string };
    yield { token };
  }
}

async function open(
  node: Node,
  method: string,
  request: object,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const response = await fetch(`${node.url}/hedgerow.v1.HedgerowService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
    body: new Uint8Array(envelope(request)),
    signal,
  });
  if (response.ok && response.body !== null) return response.body;
  throw new HoldFailure(`${response.status}`, await response.text());
}

async function* envelopes(body: AsyncIterable<Uint8Array>) {
  let left = Buffer.alloc(0);
  for await (const chunk of body) {
    left = Buffer.concat([left, chunk]);
    while (left.length >= HEADER_BYTES && left.length >= HEADER_BYTES + left.readUInt32BE(1)) {
      const end = HEADER_BYTES + left.readUInt32BE(1);
      yield { flags: left.readUInt8(0), text: left.toString("utf8", HEADER_BYTES, end) };
      left = left.subarray(end);
    }
  }
}

function envelope(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}
