import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check data-directory", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("datadir");
  });
  after(() => bench.close());

  const scratch = { dataDir: "WORK/scratch" };
  async function names(setup: string, options = scratch): Promise<string[]> {
    return (await bench.look("data-directory", setup, options)).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with the home, and makes nothing in it", async () => {
    const { kind, text } = await bench.look("data-directory");
    assert.equal(kind, "ok");
    assert.match(text, /\.jacamar-doctor-test on \w+, still to be made$/);
    assert.doesNotMatch(await bench.run("ls", "-a", bench.user.home), /jacamar/);
  });

  test("finds that the user may not make it, and what root would have to do", async () => {
    const { findings } = await bench.look("data-directory", "mkdir -m 0755 $work/scratch", scratch);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["data-directory-closed"],
    );
    assert.match(
      findings[0]?.command ?? "",
      new RegExp(`^install -d -m 0700 -o ${bench.user.name} -g \\d+ /\\S*/scratch/${bench.user.name}$`),
    );
    assert.deepEqual(await names("mkdir -m 1777 $work/scratch"), []);
    assert.deepEqual(await names("mkdir -m 0755 $work/scratch; install -d -m 0700 -o $user $work/scratch/$user"), []);
  });

  test("finds a directory of somebody else's, and one in which others can exchange it", async () => {
    assert.deepEqual(await names("mkdir -m 1777 $work/scratch; mkdir -m 0755 $work/scratch/$user"), [
      "data-directory-unsafe",
    ]);
    assert.deepEqual(await names("mkdir -m 0777 $work/scratch"), ["data-directory-unsafe"]);
  });

  test("finds a file system that is read-only or mounted noexec", async () => {
    const mount = (options: string) =>
      `mkdir $work/scratch; mount -t tmpfs -o mode=1777,${options} scratch $work/scratch`;
    assert.deepEqual(await names(mount("ro")), ["data-directory-read-only"]);
    assert.deepEqual(await names(mount("noexec")), ["data-directory-noexec"]);
  });

  test("finds that the home is not there", async () => {
    const { findings } = await bench.look("data-directory", "mkdir $work/empty; mount --bind $work/empty ${home%/*}");
    assert.deepEqual(
      findings.map(({ name, command }) => [name, command]),
      [["data-directory-home-missing", `mkhomedir_helper ${bench.user.name}`]],
    );
  });
});
