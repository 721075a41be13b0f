import type { Socket } from "bun";

/** Frames that leave in one write per turn of the event loop. */
export class FrameWriter {
  #pending: Buffer[] = [];
  #blocked: Buffer | null = null;
  #scheduled = false;

  constructor(private readonly socket: Socket<unknown>) {}

  write(frame: Buffer): void {
    this.#pending.push(frame);
    if (this.#scheduled || this.#blocked !== null) return;
    this.#scheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Also when the socket takes bytes again. */
  flush(): void {
    this.#scheduled = false;
    const all = [...(this.#blocked === null ? [] : [this.#blocked]), ...this.#pending];
    this.#pending = [];
    if (all.length === 0) return;
    const bytes = all.length === 1 ? (all[0] as Buffer) : Buffer.concat(all);
    const written = Math.max(0, this.socket.write(bytes));
    this.#blocked = written < bytes.length ? bytes.subarray(written) : null;
  }
}
