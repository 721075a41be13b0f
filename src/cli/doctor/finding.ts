import { messageOf } from "../../errors.ts";

/** What one check found. */
export interface Finding {
  /** What was looked at, as in "http port". */
  readonly check: string;
  readonly ok: boolean;
  /** One line; of a failure it ends with the fix. */
  readonly says: string;
}

export function fine(check: string, says: string): Finding {
  return { check, ok: true, says };
}

export function failed(check: string, problem: string, fix: string): Finding {
  return { check, ok: false, says: `${problem}: ${fix}` };
}

/** Of one of our errors, whose message holds the fix, and may begin with the name of the check. */
export function failedBy(check: string, error: unknown): Finding {
  const message = messageOf(error);
  const own = `${check}: `;
  return { check, ok: false, says: message.startsWith(own) ? message.slice(own.length) : message };
}
