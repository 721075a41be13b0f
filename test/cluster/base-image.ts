// Stand-ins for the bases of the Dockerfile, made of this machine's files. Imports nothing of src.
import { chmod, copyFile, mkdir, realpath, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What gcr.io/distroless/base-debian12:nonroot sets. */
export const BASE_ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  SSL_CERT_FILE: "/etc/ssl/certs/ca-certificates.crt",
} as const;

/** Its user `nonroot`, and the group of that name. */
export const NONROOT = 65532;

/** The base has all of glibc and OpenSSL: the binary must do with the loader and these. */
const LIBRARIES = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"];

const FILES = {
  "etc/passwd": `root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:${NONROOT}:${NONROOT}:nonroot:/home/nonroot:/sbin/nologin
`,
  "etc/group": `root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:${NONROOT}:\n`,
  "etc/nsswitch.conf": "passwd: compat\ngroup: compat\nhosts: files dns\n",
} as const;

/** Makes the base's root file system in an empty folder: no shell, no other program, no device. */
export async function makeBase(root: string): Promise<void> {
  await chmod(root, 0o755);
  for (const folder of ["proc", "home/nonroot", "root", "usr/share/zoneinfo", "etc/ssl/certs"]) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await mkdir(join(root, "tmp"));
  await chmod(join(root, "tmp"), 0o1777);
  for (const [path, text] of Object.entries(FILES)) await writeFile(join(root, path), text);
  const certificates = "/etc/ssl/certs/ca-certificates.crt";
  if (await Bun.file(certificates).exists()) await copyFile(certificates, join(root, certificates));
  for (const [name, path] of await librariesOf(process.execPath)) {
    if (isLoader(name) || LIBRARIES.includes(name)) await copyTo(root, path);
  }
}

/** Makes, in an empty folder, what the build stage needs of oven/bun: bun, a shell, and two tools. */
export async function makeBuilder(root: string): Promise<void> {
  await makeBase(root);
  const programs = {
    "/usr/local/bin/bun": process.execPath,
    "/bin/sh": "/bin/sh",
    "/bin/mkdir": "/bin/mkdir",
  };
  for (const [target, program] of Object.entries(programs)) {
    await copyTo(root, program, target);
    for (const path of (await librariesOf(program)).values()) await copyTo(root, path);
  }
}

async function copyTo(root: string, path: string, target = path): Promise<void> {
  await mkdir(dirname(join(root, target)), { recursive: true });
  await copyFile(await realpath(path), join(root, target));
}

/** What a program is linked to: libraries by name, and the loader by its path. */
async function librariesOf(program: string): Promise<Map<string, string>> {
  const listing = await Bun.$`ldd ${program}`.text();
  const lines = listing.matchAll(/^\s*(\S+)(?: => (\/\S+))? \(0x/gm);
  const found = [...lines].map(([, name = "", path = name]) => [name, path] as const);
  return new Map(found.filter(([, path]) => path.startsWith("/"))); // the kernel's own has none
}

function isLoader(name: string): boolean {
  return name.startsWith("/");
}
