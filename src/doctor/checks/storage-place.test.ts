import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";
import { parseMountInfo } from "../mounts.ts";
import { judgeMount, storagePlace } from "./storage-place.ts";

/** Puts the account's store on a file system of its own. */
const onFileSystem = (type: string, options: string) => `
"\${as_user[@]}" mkdir -p $home/.config/containers $home/store
printf '[storage]\\ndriver = "overlay"\\nrootless_storage_path = "$HOME/store"\\n' > $home/.config/containers/storage.conf
mount -t ${type} -o ${options} store $home/store
[ "$(stat -c %u $home/store)" = $uid ] || chown $user $home/store || true`;

describe("judgeMount()", () => {
  const judged = (line: string) => {
    const [mount] = parseMountInfo(line);
    assert.ok(mount);
    const report: Parameters<typeof judgeMount>[2] = (name, text, advice) => ({ name, level: "wrong", text, advice });
    return judgeMount("/home/alice/store", mount, report).map(({ name }) => name);
  };

  test("knows file systems of other machines", () => {
    for (const type of ["nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.glusterfs", "fuse.sshfs", "cifs"]) {
      assert.deepEqual(judged(`36 35 0:40 / /home rw,noatime - ${type} server:/home rw`), ["storage-network"], type);
    }
    for (const type of ["ext4", "xfs", "btrfs", "tmpfs", "fuse.fuse-overlayfs"]) {
      assert.deepEqual(judged(`36 35 0:40 / /home rw,noatime - ${type} /dev/sda1 rw`), [], type);
    }
  });

  test("takes options of the mount and of the file system", () => {
    assert.deepEqual(judged("36 35 0:40 / /home rw,noexec,nodev - ext4 /dev/sda1 rw"), ["storage-noexec"]);
    assert.deepEqual(judged("36 35 0:40 / /home rw,nodev - ext4 /dev/sda1 rw"), ["storage-nodev"]);
    assert.deepEqual(judged("36 35 0:40 / /home rw - ext4 /dev/sda1 ro"), ["storage-read-only"]);
  });
});

describe("the check storage-place", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("place");
  });
  after(() => bench.close());

  async function names(type: string, options: string): Promise<string[]> {
    return (await bench.look("storage-place", onFileSystem(type, options))).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with an ordinary file system", async () => {
    const { kind, text } = await bench.look("storage-place", onFileSystem("tmpfs", "size=10m"));
    assert.deepEqual([kind, text], ["ok", `${bench.user.home}/store on tmpfs`]);
  });

  test("finds file systems on which a store does not work", async () => {
    assert.deepEqual(await names("tmpfs", "noexec"), ["storage-noexec"]);
    assert.deepEqual(await names("tmpfs", "ro"), ["storage-read-only"]);
    assert.deepEqual(await names("tmpfs", "nodev"), ["storage-nodev"]);
  });

  test("finds a file system without extended attributes, by trying", async () => {
    assert.deepEqual(await names("ramfs", "rw"), ["storage-no-xattr"]);
  });
});

test("storage-place has an entry for all that it reports", () => {
  assert.deepEqual(Object.keys(storagePlace.entries).length, 5);
});
