import assert from "node:assert/strict";
import { test } from "node:test";
import { mountAt, mountOf, networkName, parseMountInfo } from "./mounts.ts";

const text = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 22 0:26 / /home rw,nosuid shared:2 master:1 - nfs4 server:/export/home rw,vers=4.2
31 30 0:27 / /home/al\\040ice rw,noexec - tmpfs tmpfs rw,size=1k
32 30 0:28 / /home/al\\040ice rw - xfs /dev/sdb ro
no line
`;

test("parseMountInfo() reads points, types and both kinds of options", () => {
  const mounts = parseMountInfo(text);
  assert.deepEqual(
    mounts.map(({ point }) => point),
    ["/", "/home", "/home/al ice", "/home/al ice"],
  );
  assert.deepEqual([...(mounts[3]?.options ?? [])], ["rw", "ro"]);
});

test("mountAt() takes the longest point, and the one that was mounted last", () => {
  const mounts = parseMountInfo(text);
  const typeAt = (path: string) => mountAt(path, mounts)?.type;
  assert.equal(typeAt("/"), "ext4");
  assert.equal(typeAt("/homes"), "ext4");
  assert.equal(typeAt("/home"), "nfs4");
  assert.equal(typeAt("/home/bob/x"), "nfs4");
  assert.equal(typeAt("/home/al ice/x"), "xfs");
});

test("mountOf() looks at the file system on which a path would lie", () => {
  assert.equal(mountOf("/proc/none/such/path")?.type, "proc");
  assert.equal(mountOf("/nonexistent/x")?.point, "/");
  assert.equal(mountOf("/x", ""), undefined);
});

test("networkName() tells file systems of other machines", () => {
  assert.equal(networkName({ type: "nfs4" }), "NFS");
  assert.equal(networkName({ type: "fuse.sshfs" }), "SSHFS");
  for (const type of ["ext4", "fuse", "fuse.fuse-overlayfs", "toString"])
    assert.equal(networkName({ type }), undefined);
});
