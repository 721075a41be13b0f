import { HedgerowError } from "../../../src/errors.ts";

/** Fails unless it is an error of ours that blames no defect of ours. Gives its code. */
export function expectTyped(error: unknown, what: () => string): string {
  if (HedgerowError.is(error) && error.code !== "internal") return error.code;
  throw new Error(`${what()}: ${describe(error)}`, { cause: error });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.stack})` : "";
  return `${error.name}: ${error.message}${cause}`;
}
