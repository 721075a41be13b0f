/** A request and its answer whose bodies are streams that go on side by side. */
export interface Exchange {
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The next bytes of the request's body, with as much room around them as the session asks for; null at its end. Asked
   * for when the connection takes more.
   */
  next(): Promise<Uint8Array<ArrayBuffer> | null>;
  answered(status: number, headers: Headers): void;
  /** Of the answer's body; must not hold the connection up. */
  receive(bytes: Uint8Array): void;
  readonly signal: AbortSignal;
}
