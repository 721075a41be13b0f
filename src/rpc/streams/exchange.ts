import type { Outgoing } from "./frame-writer.ts";

/** A request and its answer whose bodies are streams that go on side by side. */
export interface Exchange {
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The next bytes of the request's body, with as much room before them as the session asks for; null at its end. Asked
   * for when the connection takes more: those before are not looked at any more.
   */
  next(): Promise<Outgoing | null>;
  answered(status: number, headers: Headers): void;
  /** Of the answer's body; must not hold the connection up. Whether they are looked at no more. */
  receive(bytes: Uint8Array): boolean;
  readonly signal: AbortSignal;
}
