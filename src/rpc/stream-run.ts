import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, MethodImplSpec } from "@connectrpc/connect";
import type { HedgerowError } from "../errors.ts";
import { readyValue } from "../runtime/ready.ts";
import { behind, toConnectError } from "./errors.ts";
import type { StreamContext } from "./stream-context.ts";
import { malformed } from "./stream-requests.ts";
import type { Turns } from "./turns.ts";

/** A method that has a stream on one side or both. */
export type StreamSpec = Exclude<MethodImplSpec, { kind: "unary" }>;

type Answer = MessageInitShape<DescMessage>;

/** What takes the answers of a stream. */
export interface AnswerSink {
  /** Resolves when it takes them; at the latest when nobody wants them any more. */
  readonly opened: Promise<void>;
  /** Is done with the message when it returns, and sends it at `flush`. False: that is due. */
  add(answer: Answer): boolean;
  /** What it gives, if anything, is awaited before there is more. */
  flush(): Promise<unknown> | undefined;
}

export interface StreamCall {
  readonly spec: StreamSpec;
  readonly requests: AsyncIterable<never>;
  readonly context: StreamContext;
  readonly turns: Turns;
  /** What a caller sees of an error. */
  readonly publicError: (error: unknown, method: string) => HedgerowError;
}

/** Runs a handler, and passes on what it answers as fast as that is taken. */
export class StreamRun {
  /** Once there is an answer, or the end: until then a handler may set headers. */
  readonly begun: Promise<void>;
  readonly #begin: () => void;
  #answers: AsyncIterator<Answer> | null = null;
  #left = false;

  constructor(private readonly call: StreamCall) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.begun = promise;
    this.#begin = resolve;
  }

  /** Gives what it ended with, undefined where it ended well or was left. Never throws. */
  async into(sink: AnswerSink): Promise<HedgerowError | undefined> {
    const { spec, requests, context, publicError } = this.call;
    try {
      const answers = answersOf(spec, requests, context)[Symbol.asyncIterator]();
      this.#answers = answers;
      const first = await answers.next();
      this.#begin();
      await sink.opened;
      await this.#pass(first, answers, sink);
      context.abort();
      return undefined;
    } catch (error) {
      this.#begin();
      const seen = publicError(behind(error, context.signal), spec.method.name);
      this.#answers?.return?.().catch(() => {}); // its outcome has no reader
      context.abort(toConnectError(seen));
      return seen;
    }
  }

  /** What is there already goes together. */
  async #pass(first: IteratorResult<Answer>, answers: AsyncIterator<Answer>, sink: AnswerSink) {
    const { turns } = this.call;
    let next = first;
    while (next.done !== true && !this.#left) {
      const hasRoom = sink.add(next.value);
      const turn = turns.over();
      if (hasRoom && turn === undefined) {
        const coming = answers.next();
        const ready = readyValue(coming);
        const full = ready === null ? sink.flush() : undefined;
        next = ready ?? (await coming);
        if (full !== undefined) await full;
      } else {
        await sink.flush();
        await turn;
        if (!this.#left) next = await answers.next();
      }
    }
  }

  /** Nobody reads what is left. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#begin();
    this.call.context.abort();
    this.#answers?.return?.().catch(() => {}); // its outcome has no reader
  }
}

function answersOf(
  spec: StreamSpec,
  requests: AsyncIterable<never>,
  context: HandlerContext,
): AsyncIterable<Answer> {
  switch (spec.kind) {
    case "bidi_streaming":
      return spec.impl(requests, context);
    case "server_streaming":
      return answersToOne(spec, requests, context);
    case "client_streaming":
      return oneAnswer(spec, requests, context);
  }
}

async function* answersToOne(
  { impl, method }: Extract<StreamSpec, { kind: "server_streaming" }>,
  requests: AsyncIterable<never>,
  context: HandlerContext,
) {
  let request: never | null = null;
  for await (const next of requests) {
    if (request !== null) throw malformed(`${method.name} takes one message`);
    request = next;
  }
  if (request === null) throw malformed(`${method.name} takes a message`);
  yield* impl(request, context);
}

async function* oneAnswer(
  { impl }: Extract<StreamSpec, { kind: "client_streaming" }>,
  requests: AsyncIterable<never>,
  context: HandlerContext,
) {
  yield await impl(requests, context);
}
