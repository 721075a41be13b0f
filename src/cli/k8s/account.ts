import { HedgerowError } from "../../errors.ts";

/** What Google takes as a service account's id. */
const ACCOUNT_ID = /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/;

/** The Google service account of that name at the project of a Spanner store. Throws `invalid_argument`. */
export function accountAt(store: string, name: string): string {
  if (!ACCOUNT_ID.test(name)) {
    throw new HedgerowError(
      "invalid_argument",
      `--name ${name} is no id of a Google service account, which has 6 to 30 letters, digits and -: give --gcp-service-account NAME@PROJECT.iam.gserviceaccount.com, too`,
    );
  }
  // A project of a domain, example.com:ours, has ours.example.com in its accounts.
  const project = (store.split("/")[1] ?? "").split(":").reverse().join(".");
  return `${name}@${project}.iam.gserviceaccount.com`;
}
