import type { Clock } from "../runtime/runtime.ts";

/** Names that are remembered; older ones are forgotten. */
const MAX_NAMES = 1_000;

/** Why a store is no more. */
export type Ending = "closed" | "expired";

/** Stores that are no more, so that whoever asks for one can be told what became of it. */
export class EndedStores {
  readonly #ended = new Map<string, { readonly how: Ending; readonly at: number }>();

  constructor(private readonly clock: Clock) {}

  add(name: string, how: Ending): void {
    this.#ended.delete(name);
    this.#ended.set(name, { how, at: this.clock.now() });
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > MAX_NAMES && oldest !== undefined) this.#ended.delete(oldest);
  }

  /** As in "it expired 12 s ago"; null if nothing is known of it. */
  storyOf(name: string): string | null {
    const ended = this.#ended.get(name);
    if (ended === undefined) return null;
    const seconds = Math.round((this.clock.now() - ended.at) / 1e3);
    const what = ended.how === "closed" ? "was closed" : "expired, as nobody used it,";
    return `it ${what} ${seconds} s ago`;
  }
}
