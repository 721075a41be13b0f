import { readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

export interface Mount {
  readonly directory: string;
  /** As the kernel names it, as in ext4 or nfs4. */
  readonly type: string;
  /** Whether a SQLite file may be there: its locks and its shared memory need a file system of this machine. */
  readonly supported: boolean;
}

const UNSUPPORTED = /^(nfs|cifs|smb|9p|virtiofs|fuse|afs|ceph|glusterfs|lustre|vboxsf)/;

/** The mount that holds `path` (which need not exist), or null where the system does not tell (macOS). */
export function describeMount(path: string): Mount | null {
  if (process.platform !== "linux") return null;
  return findMount(readFileSync("/proc/self/mounts", "utf8"), realPath(resolve(path)));
}

/** The same from the text of /proc/self/mounts and an absolute path without symbolic links. */
export function findMount(mounts: string, path: string): Mount | null {
  let found: Mount | null = null;
  for (const line of mounts.split("\n")) {
    const [, escaped, type] = line.split(" ");
    if (escaped === undefined || type === undefined) continue;
    const directory = unescapeField(escaped);
    const within = directory === "/" || path === directory || path.startsWith(`${directory}/`);
    // Of two on one directory the later one covers the earlier.
    if (within && directory.length >= (found?.directory.length ?? 0)) {
      found = { directory, type, supported: isSupported(type) };
    }
  }
  return found;
}

function isSupported(type: string): boolean {
  // fuseblk is a local disk (NTFS, exFAT), locked by this machine's kernel.
  return type === "fuseblk" || !UNSUPPORTED.test(type);
}

/** Spaces and the like stand as octal numbers in the table of mounts. */
function unescapeField(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** The path with the symbolic links of what exists of it resolved. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}
