import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { asUser, loginEnvironment, testUser } from "./machine.ts";
import { type Slurm, slurmMissing, startSlurm } from "./slurm.ts";

describe("startSlurm()", { skip: slurmMissing() }, () => {
  const user = testUser();
  let slurm: Slurm;
  before(() => {
    slurm = startSlurm(["MinJobAge=7"]);
  });
  after(() => slurm.stop());

  function client(...argv: string[]) {
    return asUser(user, argv, { env: { ...loginEnvironment(user), SLURM_CONF: slurm.configuration } });
  }

  test("runs a user's job, which sees the GPUs that it asked for", async () => {
    const script = 'echo "$(id -un) has ${SLURM_JOB_GPUS}" >"$1"; exit 7';
    const file = `/var/tmp/jacamar-slurm-test-${process.pid}`;
    const submitted = await client(
      "sbatch",
      "--wait",
      "--gres=gpu:2",
      "--output=/dev/null",
      "--wrap",
      `set -- ${file}; ${script}`,
    );
    assert.equal(submitted.exitCode, 7, submitted.stderr);
    const written = await asUser(user, ["cat", file]);
    await asUser(user, ["rm", file]);
    assert.equal(written.stdout, `${user.name} has 0,1\n`);
  });

  test("takes further lines of slurm.conf", async () => {
    const shown = await client("scontrol", "show", "config");
    assert.match(shown.stdout, /^MinJobAge\s+= 7 sec$/m);
  });

  test("is not there while its controller is down, and knows its jobs when it is back", async () => {
    const submitted = await client(
      "sbatch",
      "--parsable",
      "--partition=closed",
      "--output=/dev/null",
      "--wrap",
      "true",
    );
    slurm.controller.down();
    const ping = await client("scontrol", "ping");
    slurm.controller.up();
    const asked = await client("squeue", "--noheader", "--format=%i %T");
    assert.match(ping.stdout, /DOWN/);
    assert.equal(asked.stdout, `${submitted.stdout.trim()} PENDING\n`);
  });

  test("leaves nothing", () => {
    const other = startSlurm();
    assert.ok(existsSync(other.configuration));
    other.stop();
    other.stop();
    assert.ok(!existsSync(other.configuration));
    assert.ok(existsSync(slurm.configuration));
  });
});
