import type { PartialResultSet } from "../../src/store/spanner/api.ts";

type Listen = (value: never) => void;

/** A streamed answer: the parts that a promise gives, or that the test tells it to send. */
export class FakeStream {
  canceled = false;
  readonly #listening = new Map<string, Listen>();

  constructor(
    parts: Promise<object | readonly object[]> | null = null,
    private readonly onCancel = () => this.fail(Object.assign(new Error("cancelled"), { code: 1 })),
  ) {
    parts?.then(
      (given) => {
        this.send(...[given].flat());
        this.end();
      },
      (error: Error) => this.fail(error),
    );
  }

  on(event: string, listen: Listen): void {
    this.#listening.set(event, listen);
  }

  send(...parts: PartialResultSet[]): void {
    for (const part of parts) this.#tell("data", part);
  }

  end(): void {
    this.#tell("end", undefined);
  }

  fail(error: Error): void {
    this.#tell("error", error);
  }

  /** As gRPC's: an error follows. */
  cancel(): void {
    this.canceled = true;
    this.onCancel();
  }

  #tell(event: string, value: unknown): void {
    (this.#listening.get(event) as ((value: unknown) => void) | undefined)?.(value);
  }
}
