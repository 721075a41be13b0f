import { expect } from "bun:test";
import { type ErrorCode, HedgerowError } from "../../src/errors.ts";

/** The error that the promise rejects with: ours, of that code, in one line. */
export async function expectCode(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<HedgerowError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof HedgerowError)) {
    throw new Error(`expected a HedgerowError with code ${code}, got ${String(error)}`);
  }
  expect(error.code, error.message).toBe(code);
  expect(error.message).not.toContain("\n");
  return error;
}
