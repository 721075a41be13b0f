import { HedgerowError } from "../errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Store } from "./ports.ts";

export interface OpenOptions {
  readonly lockTable: string;
  /** Empty: no log, no semaphores. */
  readonly logTable: string;
  readonly runtime: Runtime;
}

/**
 * Opens the store that `spec` names: `sqlite:PATH`. Throws `invalid_argument` for another form, and what the
 * adapter throws. Adapters are imported when they are needed: none costs memory for another.
 */
export async function openStore(spec: string, options: OpenOptions): Promise<Store> {
  const [, scheme, rest = ""] = /^([a-z]+):(.*)$/s.exec(spec) ?? [];
  switch (scheme) {
    case "sqlite": {
      const { openSqlite } = await import("./sqlite/open.ts");
      return openSqlite({ ...options, path: rest });
    }
    default:
      throw new HedgerowError(
        "invalid_argument",
        `--store ${JSON.stringify(spec)} is not a store: use sqlite:PATH, as in sqlite:./hedgerow.db`,
      );
  }
}
