import type { Http2Session, ServerHttp2Stream } from "node:http2";
import type { Clock, Timer } from "../../runtime/runtime.ts";

/** A connection that has not begun to speak HTTP/2 by then is closed, in milliseconds. */
export const FIRST_WORDS_MS = 10_000;
/** Connections on which nothing is under way are ended after so many milliseconds: clients open another. */
export const QUIET_MS = 300_000;
/** Milliseconds between two looks for such. */
const LOOK_EVERY_MS = 30_000;

interface Use {
  underWay: number;
  /** By the clock; counts while nothing is under way. */
  quietSince: number;
}

/** The open connections of a listener, also those that have not said a word of HTTP/2 yet. */
export class Connections {
  readonly #uses = new Map<Http2Session, Use>();
  #look: Timer | null = null;

  constructor(private readonly clock: Clock) {}

  add(session: Http2Session): void {
    this.#uses.set(session, { underWay: 0, quietSince: this.clock.now() });
    const late = this.clock.schedule(FIRST_WORDS_MS, () => session.destroy());
    session.once("remoteSettings", () => late.cancel());
    session.once("close", () => {
      late.cancel();
      this.#uses.delete(session);
    });
    // A connection that breaks, or speaks something else, ends: its calls are told by their own streams.
    session.on("error", () => session.destroy());
    this.#look ??= this.#lookLater();
  }

  /** A call has begun. */
  begun(stream: ServerHttp2Stream): void {
    const use = stream.session && this.#uses.get(stream.session);
    if (!use) return;
    use.underWay++;
    stream.once("close", () => {
      use.underWay--;
      use.quietSince = this.clock.now();
    });
  }

  /** Ends each when nothing is under way on it any more. */
  close(): void {
    this.#look?.cancel();
    for (const session of this.#uses.keys()) session.close();
  }

  destroy(): void {
    for (const session of this.#uses.keys()) session.destroy();
  }

  #lookLater(): Timer {
    return this.clock.schedule(LOOK_EVERY_MS, () => {
      const quiet = this.clock.now() - QUIET_MS;
      for (const [session, { underWay, quietSince }] of this.#uses) {
        if (underWay === 0 && quietSince <= quiet) session.close();
      }
      this.#look = this.#uses.size > 0 ? this.#lookLater() : null;
    });
  }
}
