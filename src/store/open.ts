import { HedgerowError } from "../errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { environmentVariable } from "../runtime/system.ts";
import type { Store } from "./ports.ts";
import { PATH_FORM, pathProblem } from "./spanner/path.ts";

export interface OpenOptions {
  readonly lockTable: string;
  /** Empty: no log, no semaphores. */
  readonly logTable: string;
  readonly runtime: Runtime;
}

/** What `--store` says for a node that has none. */
export const NO_STORE = "none";

/** A store as it is named: what kind it is, and where. */
export type StoreSpec =
  | { readonly kind: "none"; readonly path: "" }
  | { readonly kind: "sqlite"; readonly path: string }
  /** `path` is `projects/P/instances/I/databases/D`. */
  | { readonly kind: "spanner"; readonly path: string };

/** Reads `sqlite:PATH`, `spanner:PATH` and `none`. Throws `invalid_argument` for anything else. */
export function parseStore(spec: string): StoreSpec {
  const problem = storeProblem(spec);
  if (problem !== null) {
    throw new HedgerowError("invalid_argument", `--store ${JSON.stringify(spec)}: ${problem}`);
  }
  if (spec === NO_STORE) return { kind: NO_STORE, path: "" };
  const [, kind, path = ""] = PATTERN.exec(spec) ?? [];
  return { kind: kind as "sqlite" | "spanner", path };
}

const PATTERN = /^(sqlite|spanner):(.*)$/s;

/** What is wrong with the name of a store, and how to mend it; null if nothing is. */
export function storeProblem(spec: string): string | null {
  if (spec === NO_STORE) return null;
  const [, kind, path = ""] = PATTERN.exec(spec) ?? [];
  if (kind === "spanner") return pathProblem(path);
  return kind === "sqlite" && path !== "" ? null : `give sqlite:PATH, spanner:${PATH_FORM} or none`;
}

/** `host:port` of the Spanner emulator that is to be used instead of Cloud Spanner; null for none. */
export function spannerEmulatorHost(): string | null {
  return environmentVariable("SPANNER_EMULATOR_HOST");
}

/**
 * Opens the store that `spec` names. Throws `invalid_argument` for another form, and what the adapter
 * throws. Adapters are imported when they are needed: none costs memory for another.
 */
export async function openStore(spec: string, options: OpenOptions): Promise<Store> {
  const { kind, path } = parseStore(spec);
  if (kind === NO_STORE) {
    throw new HedgerowError(
      "invalid_argument",
      "--store none: name the store that is to be opened",
    );
  }
  if (kind === "spanner") {
    const { openSpanner } = await import("./spanner/open.ts");
    return openSpanner({ ...options, path, emulatorHost: spannerEmulatorHost() });
  }
  const { openSqlite } = await import("./sqlite/open.ts");
  return openSqlite({ ...options, path });
}
