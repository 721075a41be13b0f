import type { Socket } from "bun";

/** Length of the payload and number of the call. */
const HEADER = 8;

export function frameOf(call: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEADER + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(call, 4);
  frame.set(payload, HEADER);
  return frame;
}

/** Whole frames out of chunks, which end anywhere. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  read(chunk: Buffer, take: (call: number, payload: Buffer) => void): void {
    // A copy: the chunk's memory is the socket's own once this returns.
    const bytes = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const end = at + HEADER + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      take(bytes.readUInt32LE(at + 4), bytes.subarray(at + HEADER, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}
/** Frames that leave in one write per turn of the event loop, or each in a write of its own. */
export class FrameWriter {
  #pending: Buffer[] = [];
  #blocked: Buffer | null = null;
  #scheduled = false;

  constructor(
    private readonly socket: Socket<unknown>,
    private readonly together = true,
  ) {}

  write(frame: Buffer): void {
    this.#pending.push(frame);
    if (this.#scheduled || this.#blocked !== null) return;
    if (!this.together) {
      this.flush();
      return;
    }
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
