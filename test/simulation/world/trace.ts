/** What happened, as a hash that two runs of one seed share, and as lines where somebody wants to read. */
export class Trace {
  #hash = 0x811c9dc5;
  readonly lines: string[] = [];

  constructor(private readonly keepLines: boolean) {}

  add(now: number, what: string): void {
    const line = `${now.toFixed(3)} ${what}`;
    for (let i = 0; i < line.length; i++) {
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    }
    if (this.keepLines) this.lines.push(line);
  }

  /** FNV-1a over all lines, as eight hexadecimal digits. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }
}
