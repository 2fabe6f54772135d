import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../../process/capture.ts";
import { flux } from "./flux.ts";
import { forgetOldHolders, holderFile, type HolderSpec, unwantHolder, wantHolder } from "./holder.ts";
import { slurm } from "./slurm.ts";
import { toId } from "./testing/recorded.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-holder-"));
after(() => rmSync(directory, { recursive: true }));
const wanted = join(directory, "jacamar-ci-shared-7-it's $(mine)");

describe("holderFile()", () => {
  /** Whether the job holds its allocation. It is ended when it has held it for a while. */
  async function hold(environment: Readonly<Record<string, string>>, spec: Partial<HolderSpec> = {}, seconds = 1) {
    const path = join(directory, "holder");
    writeFileSync(path, holderFile({ wanted, ownId: slurm.ownId, patienceSeconds: 0, ...spec }), { mode: 0o700 });
    const command = { argv: [path] as const, environment: { PATH: "/usr/bin:/bin", ...environment } };
    const { ending, stderr } = await capture({ ...command, workingDirectory: "/" }, { timeoutSeconds: seconds });
    if ("signal" in ending) return "holds";
    assert.deepEqual(ending, { exitCode: 1 });
    assert.equal(stderr, "Nobody waits for this allocation: it is given back\n");
    return "ends";
  }

  test("holds the allocation that is wanted", async () => {
    wantHolder(wanted, toId("17"));
    assert.equal(await hold({ SLURM_JOB_ID: "17" }), "holds");
  });

  test("holds it in whatever form the scheduler writes the same id", async () => {
    wantHolder(wanted, toId("\u0192CUfSXq"));
    assert.equal(await hold({ FLUX_ENCLOSING_ID: "fCUfSXq" }, { ownId: flux.ownId }), "holds");
    wantHolder(wanted, toId("17;cluster"));
    assert.equal(await hold({ SLURM_JOB_ID: "17" }), "holds");
  });

  test("ends when nobody waits for it", async () => {
    unwantHolder(wanted);
    assert.equal(await hold({ SLURM_JOB_ID: "17" }, {}, 60), "ends");
  });

  test("ends when another one has its place", async () => {
    wantHolder(wanted, toId("18"));
    assert.equal(await hold({ SLURM_JOB_ID: "17" }, {}, 60), "ends");
    assert.equal(await hold({ FLUX_ENCLOSING_ID: "\u0192A" }, { ownId: flux.ownId }, 60), "ends");
  });

  test("waits until it is known, and has patience with a shared file system", async () => {
    wantHolder(wanted, undefined);
    setTimeout(() => wantHolder(wanted, toId("17")), 500);
    assert.equal(await hold({ SLURM_JOB_ID: "17" }), "holds");
    unwantHolder(wanted);
    setTimeout(() => wantHolder(wanted, toId("17")), 500);
    assert.equal(await hold({ SLURM_JOB_ID: "17" }, { patienceSeconds: 60 }), "holds");
  });

  test("holds what cannot tell what it is called", async () => {
    wantHolder(wanted, toId("17"));
    assert.equal(await hold({}), "holds");
  });

  test("is right in the eyes of any sh", async () => {
    const path = join(directory, "text");
    writeFileSync(path, holderFile({ wanted, ownId: flux.ownId, patienceSeconds: 1 }));
    const shellcheck = ["/usr/bin/shellcheck", "/usr/local/bin/shellcheck"].find(existsSync);
    const argv =
      shellcheck === undefined
        ? (["/bin/sh", "-n", path] as const)
        : ([shellcheck, "-s", "sh", "--exclude=SC2016", path] as const);
    const said = await capture({ argv, environment: {}, workingDirectory: "/" }, { timeoutSeconds: 60 });
    assert.equal(said.stdout + said.stderr, "");
  });
});

describe("wantHolder()", () => {
  test("writes into the same file, and follows no link", () => {
    const path = join(directory, "same");
    wantHolder(path, undefined);
    const { ino } = lstatSync(path);
    assert.equal(readFileSync(path, "utf8"), "perhaps\n");
    wantHolder(path, toId("17"));
    assert.deepEqual([readFileSync(path, "utf8"), lstatSync(path).ino], ["yes 17\n", ino]);
    const link = join(directory, "link");
    const target = join(directory, "target");
    writeFileSync(target, "kept");
    symlinkSync(target, link);
    assert.throws(() => wantHolder(link, undefined), { code: "directory_failed" });
    assert.equal(readFileSync(target, "utf8"), "kept");
  });
});

test("forgetOldHolders() removes what no allocation needs any more, and leaves the others", () => {
  const [old, young] = [join(directory, "old"), join(directory, "young")];
  for (const path of [old, young]) wantHolder(path, toId("17"));
  const then = Date.now() / 1000 - 61 * 24 * 3600;
  utimesSync(old, then, then);
  forgetOldHolders(join(directory, "mine"));
  assert.deepEqual([existsSync(old), existsSync(young)], [false, true]);
});
