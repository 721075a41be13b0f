/**
 * The body of an answer that goes straight into the connection's buffer: what is written in one turn of the event loop
 * leaves in one piece, and nothing is made for each message.
 */
export class DirectAnswer {
  readonly body: ReadableStream<Uint8Array>;
  /** Once it may be written to, or nobody will read it. */
  readonly opened: Promise<void>;
  #controller: ReadableStreamDirectController | null = null;

  /** `onLeft`: nobody reads what is left, which may be all of it. */
  constructor(onLeft: () => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    const source: Bun.DirectUnderlyingSource<Uint8Array> = {
      type: "direct",
      pull: (controller) => {
        this.#controller = controller;
        resolve();
      },
      cancel: () => {
        this.#controller = null;
        onLeft();
        resolve();
      },
    };
    // Bun's own kind, of which the standard's types know nothing.
    this.body = new ReadableStream(
      source as unknown as ConstructorParameters<typeof ReadableStream<Uint8Array>>[0],
    );
  }

  /** Has copied the bytes when it returns. It gives something to await when the connection should have no more. */
  write(bytes: Uint8Array): Promise<unknown> | undefined {
    const written = this.#controller?.write(bytes as Uint8Array<ArrayBuffer>);
    return typeof written === "object" ? written : undefined;
  }

  /** After what was written. */
  close(): void {
    this.#controller?.close();
  }
}
