import { HedgerowError } from "../../errors.ts";
import { environmentVariable } from "../../runtime/system.ts";

const KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS";

/** What of a client of Google's is asked here. */
interface NeedsCredentials {
  initialize(): Promise<unknown>;
}

/**
 * The client, once it has found credentials: all that it does before its first call. A client without them
 * must not be called, for it would throw again where nobody can catch it. Throws `store_failed`.
 */
export async function withCredentials<T extends NeedsCredentials>(client: T): Promise<T> {
  try {
    await client.initialize();
    return client;
  } catch (cause) {
    throw new HedgerowError("store_failed", mend(environmentVariable(KEY_FILE)), { cause });
  }
}

function mend(keyFile: string | null): string {
  return keyFile === null
    ? `no credentials for Google Cloud: run gcloud auth application-default login, set ${KEY_FILE}, or use Workload Identity`
    : `${KEY_FILE}=${keyFile} is no file with credentials: name another, or unset it`;
}
