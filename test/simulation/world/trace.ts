/** What happened, as a hash that two runs of one seed share, and as lines where somebody wants to read. */
export class Trace {
  #hash = 0;
  readonly lines: string[] = [];

  constructor(private readonly keepLines: boolean) {}

  add(now: number, what: string): void {
    const line = `${now.toFixed(3)} ${what}`;
    this.#hash = Bun.hash.xxHash32(line, this.#hash);
    if (this.keepLines) this.lines.push(line);
  }

  /** XXH32 of each line, seeded with that of all before, as eight hexadecimal digits. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }
}
