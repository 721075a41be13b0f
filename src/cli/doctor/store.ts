import type { Runtime } from "../../runtime/runtime.ts";
import { parseStore, spannerEmulatorHost } from "../../store/open.ts";
import type { StoreQuestion, StoreReport } from "./question.ts";

/** Looks without changing anything. */
export async function checkStore(question: StoreQuestion, runtime: Runtime): Promise<StoreReport> {
  const { kind, path } = parseStore(question.spec);
  if (kind === "spanner") {
    const { checkSpanner } = await import("./spanner.ts");
    return checkSpanner(question, path, spannerEmulatorHost(), runtime);
  }
  const { checkSqlite } = await import("./sqlite.ts");
  return checkSqlite(question, path, runtime);
}
