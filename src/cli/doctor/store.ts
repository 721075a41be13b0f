import type { Runtime } from "../../runtime/runtime.ts";
import { parseStore, spannerEmulatorHost } from "../../store/open.ts";
import { fine } from "./finding.ts";
import type { StoreQuestion, StoreReport } from "./question.ts";

/** Looks without changing anything. */
export async function checkStore(question: StoreQuestion, runtime: Runtime): Promise<StoreReport> {
  const { kind, path } = parseStore(question.spec);
  if (kind === "none") {
    const says =
      "none: nobody leads; members, broadcasts, sharders and spill stores do without; serve takes it with --tls files or none";
    return { findings: [fine("store", says)], writtenMs: null, leader: null };
  }
  if (kind === "spanner") {
    const { checkSpanner } = await import("./spanner.ts");
    return checkSpanner(question, path, spannerEmulatorHost(), runtime);
  }
  const { checkSqlite } = await import("./sqlite.ts");
  return checkSqlite(question, path, runtime);
}
