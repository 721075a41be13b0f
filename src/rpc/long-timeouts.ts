import { MAX_STREAM_TIMEOUT_MS } from "./limits.ts";

const GRPC_TIMEOUT = /^(\d{1,8})([HMS])$/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000 };

/**
 * The headers of a request with no longer a time-out than a timer runs. Some clients say "for ever" by a deadline of
 * years, which Connect refuses after it has set a timer that ends at once.
 */
export function withoutLongTimeouts(given: Headers): Headers {
  const isLong = (timeoutMs: number) => timeoutMs > MAX_STREAM_TIMEOUT_MS;
  const connectLong = isLong(Number(given.get("connect-timeout-ms")));
  const [, digits, unit = ""] = GRPC_TIMEOUT.exec(given.get("grpc-timeout") ?? "") ?? [];
  const grpcLong = isLong(Number(digits) * (UNIT_MS[unit] ?? 0));
  if (!connectLong && !grpcLong) return given;
  const header = new Headers(given);
  if (connectLong) header.set("connect-timeout-ms", String(MAX_STREAM_TIMEOUT_MS));
  if (grpcLong) header.set("grpc-timeout", `${Math.floor(MAX_STREAM_TIMEOUT_MS / 1e3)}S`);
  return header;
}
