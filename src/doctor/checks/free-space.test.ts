import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";
import { parseQuota } from "./free-space.ts";

test("parseQuota() reads the lines of quota(1) that have a limit", () => {
  const text = `Disk quotas for user alice (uid 1005):
     Filesystem   space   quota   limit   grace   files   quota   limit   grace
      /dev/sda1  980000* 1000000 1100000       0      12       0       0       0
 server:/export   20  0 0 0 1 0 0 0
 nfs.example:/home   90000       0  100000       0     100       0       0       0
`;
  assert.deepEqual(parseQuota(text), [
    { place: "/dev/sda1", used: 980000, limit: 1000000 },
    { place: "nfs.example:/home", used: 90000, limit: 100000 },
  ]);
  assert.deepEqual(parseQuota("Disk quotas for user alice (uid 1005): none\n"), []);
});

describe("the check free-space", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("space");
  });
  after(() => bench.close());

  const options = { dataDir: "WORK/scratch", configuration: "" };
  const mount = (how: string) => `mkdir $work/scratch; mount -t tmpfs -o mode=1777,${how} scratch $work/scratch`;
  async function findings(setup: string) {
    return (await bench.look("free-space", setup, options)).findings.map(({ name, level }) => `${level} ${name}`);
  }

  test("finds a file system that is full, or soon will be", async () => {
    assert.deepEqual(await findings(mount("size=1m")), ["wrong space-full"]);
    assert.deepEqual(await findings(mount("size=1g")), ["warning space-low"]);
    assert.deepEqual(await findings(mount("size=8g")), []);
  });

  test("finds that there can be no more files", async () => {
    assert.deepEqual(await findings(mount("size=8g,nr_inodes=100")), ["wrong space-no-files"]);
  });

  test("finds that the quota is used up where there is room, by trying", async () => {
    const setup = `truncate -s 200M $work/image; mkfs.btrfs -q $work/image > /dev/null 2>&1; mkdir $work/btrfs
mount -o loop $work/image $work/btrfs; btrfs subvolume create $work/btrfs/scratch > /dev/null
chmod 1777 $work/btrfs/scratch; btrfs quota enable $work/btrfs; btrfs qgroup limit 128K $work/btrfs/scratch`;
    const { findings: found } = await bench.look("free-space", setup, { ...options, dataDir: "WORK/btrfs/scratch" });
    assert.deepEqual(
      found.map(({ name, level }) => `${level} ${name}`),
      // The image is as small as it can be made.
      ["warning space-low", "wrong space-quota"],
    );
  });

  test("leaves nothing where it has tried to write", async () => {
    const { kind, text } = await bench.look("free-space", "mkdir -m 1777 $work/scratch", options);
    assert.equal(kind, "ok", text);
    assert.match(text, /^\d+(?:\.\d)? [GM]iB for the directory of your jobs$/);
  });
});
