/** The nodes that a client may ask, and which of them it asks next. */
export class Addresses {
  #current = 0;
  /** The URL of each node that is known by the address of its peer listener. */
  readonly #byNode = new Map<string, string>();

  /** `urls` of http listeners, at least one. */
  constructor(readonly urls: readonly string[]) {}

  get current(): string {
    return this.urls[this.#current] as string;
  }

  /** The next one takes the place of `url`, unless another has already. */
  leave(url: string): void {
    if (url === this.current) this.#current = (this.#current + 1) % this.urls.length;
  }

  prefer(url: string): void {
    const index = this.urls.indexOf(url);
    if (index >= 0) this.#current = index;
  }

  learn(node: string, url: string): void {
    this.#byNode.set(node, url);
  }

  urlOf(node: string): string | undefined {
    return this.#byNode.get(node);
  }
}
