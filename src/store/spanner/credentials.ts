import type { SpannerClient } from "@google-cloud/spanner/build/src/v1/index.js";
import { HedgerowError, messageOf } from "../../errors.ts";
import type { Operation } from "../../runtime/operation.ts";
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

/** Throws `store_failed` where the credentials that were found are refused, or nobody can be asked. */
export async function checkCredentials(client: SpannerClient, operation: Operation): Promise<void> {
  try {
    const account = await operation.race(client.auth.getClient());
    await operation.race(account.getRequestHeaders("https://spanner.googleapis.com/"));
  } catch (cause) {
    throw new HedgerowError(
      "store_failed",
      `they give no access (${messageOf(cause)}): run gcloud auth application-default login, or set ${KEY_FILE} to another file`,
      { cause },
    );
  }
}
