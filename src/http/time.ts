// Times as Go prints them, from microseconds since the epoch.

/** RFC 3339 in whole seconds, as Go's time.RFC3339: `2025-01-02T03:04:05Z`. */
export function rfc3339(micros: number): string {
  return `${wholeSeconds(micros)}Z`;
}

/** RFC 3339 with the fraction that is there: `2025-01-02T03:04:05.123456Z`. */
export function rfc3339Micros(micros: number): string {
  return `${wholeSeconds(micros)}${fraction(micros)}Z`;
}

/** As Go prints a time.Time: `2025-01-02 03:04:05.123456 +0000 UTC`. */
export function goTime(micros: number): string {
  return `${wholeSeconds(micros).replace("T", " ")}${fraction(micros)} +0000 UTC`;
}

function wholeSeconds(micros: number): string {
  return new Date(Math.floor(micros / 1e6) * 1000).toISOString().slice(0, -".000Z".length);
}

/** Without trailing zeros; nothing at a whole second. */
function fraction(micros: number): string {
  const rest = micros - Math.floor(micros / 1e6) * 1e6;
  return rest === 0 ? "" : `.${String(rest).padStart(6, "0").replace(/0+$/, "")}`;
}
