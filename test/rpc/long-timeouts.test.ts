import { expect, test } from "bun:test";
import { withoutLongTimeouts } from "../../src/rpc/long-timeouts.ts";

test.each([
  ["connect-timeout-ms", "9999999999", "2147483647"],
  ["connect-timeout-ms", "2147483648", "2147483647"],
  ["grpc-timeout", "99999999H", "2147483S"],
  ["grpc-timeout", "99999999S", "2147483S"],
])("%s: %s becomes %s", (name, given, expected) => {
  const header = new Headers({ [name]: given, other: "stays" });
  expect(Object.fromEntries(withoutLongTimeouts(header))).toEqual({
    [name]: expected,
    other: "stays",
  });
});

test.each([
  ["connect-timeout-ms", "2147483647"],
  ["connect-timeout-ms", "soon"],
  ["grpc-timeout", "596H"],
  ["grpc-timeout", "99999999m"],
  ["grpc-timeout", "-1H"],
  ["other", "x"],
])("%s: %s stays as it is", (name, given) => {
  const header = new Headers({ [name]: given });
  expect(withoutLongTimeouts(header)).toBe(header);
});
