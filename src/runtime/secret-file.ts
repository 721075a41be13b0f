import { readFile, stat } from "node:fs/promises";
import { HedgerowError, messageOf } from "../errors.ts";

export interface SecretFile {
  readonly text: string;
  /** What the operator should be told of its rights; null if they are as they should be. */
  readonly warning: string | null;
}

/**
 * A file that `flag` names and that strangers should not read. Groups are let read: that is how Kubernetes gives
 * secrets to a user that is not root. Throws `invalid_argument`.
 */
export async function readSecretFile(flag: string, path: string): Promise<SecretFile> {
  try {
    const text = await readFile(path, "utf8");
    const { mode } = await stat(path);
    const isPublic = (mode & 0o007) !== 0;
    const warning = `every user of this machine may read ${flag} ${path}: chmod o= it`;
    return { text, warning: isPublic ? warning : null };
  } catch (error) {
    const message = `${flag} ${path} cannot be read: ${messageOf(error)}`;
    throw new HedgerowError("invalid_argument", message, { cause: error });
  }
}
