import { HedgerowError } from "../../errors.ts";
import { NO_STORE } from "../../store/open.ts";
import { PATH_FORM } from "../../store/spanner/path.ts";
import type { Flag } from "../flag.ts";
import { SERVE_FLAGS } from "../flags.ts";
import * as values from "../values.ts";

/** As that of `serve`, but to be given: with its default there is nothing to do. */
export const STORE_FLAG = {
  schema: values.optionalStoreUrl,
  value: "URL",
  fallback: "",
  section: SERVE_FLAGS.store.section,
  help: `the database, as serve names it: spanner:${PATH_FORM}`,
} as const satisfies Flag<string | null>;

/** Throws `invalid_argument` if none was given: who left it out believes that the database has its tables now. */
export function givenStore(store: string | null): string {
  if (store === NO_STORE) {
    throw new HedgerowError(
      "invalid_argument",
      `--store none has no tables: for Spanner give --store spanner:${PATH_FORM}`,
    );
  }
  if (store !== null) return store;
  throw new HedgerowError(
    "invalid_argument",
    `no store is given, and the default, ${SERVE_FLAGS.store.fallback}, makes its tables itself: for Spanner give --store spanner:${PATH_FORM}, or set HEDGEROW_STORE`,
  );
}
