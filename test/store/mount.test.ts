import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeMount, findMount } from "../../src/store/sqlite/mount.ts";

const MOUNTS = `rootfs / rootfs rw 0 0
/dev/vda / ext4 rw,relatime 0 0
server:/export /data nfs4 rw,vers=4.2 0 0
tmpfs /data/local tmpfs rw 0 0
share /mnt/my\\040share cifs rw 0 0
host /shared 9p rw,trans=virtio 0 0
vm /vm virtiofs rw 0 0
user@far /far fuse.sshfs rw 0 0
/dev/sdb1 /usb fuseblk rw 0 0
`;

test("the innermost mount that holds a path is found", () => {
  const at = (path: string) => findMount(MOUNTS, path);
  expect(at("/data/x.db")).toEqual({ directory: "/data", type: "nfs4", supported: false });
  expect(at("/data/local/x.db")).toMatchObject({ directory: "/data/local", type: "tmpfs" });
  expect(at("/database/x.db")).toEqual({ directory: "/", type: "ext4", supported: true });
  expect(at("/data")).toMatchObject({ type: "nfs4" });
  expect(at("/mnt/my share/x.db")).toMatchObject({ type: "cifs", supported: false });
  expect(findMount("", "/x")).toBeNull();
});

test("network and shared file systems are told from local ones", () => {
  for (const path of ["/shared/x", "/vm/x", "/far/x", "/data/x"]) {
    expect(findMount(MOUNTS, path)?.supported).toBe(false);
  }
  for (const path of ["/usb/x", "/data/local/x", "/x"]) {
    expect(findMount(MOUNTS, path)?.supported).toBe(true);
  }
});

test.skipIf(process.platform !== "linux")("a file that is yet to be has a mount", () => {
  const mount = describeMount(join(tmpdir(), "no", "such", "file.db"));
  expect(mount?.directory.startsWith("/")).toBe(true);
  expect(mount?.type).not.toBe("");
});
