import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { asUser, loginEnvironment, startAsUser, testUser } from "./machine.ts";
import { installStandIn, type StandIn } from "./schedulers.ts";

describe("installStandIn()", () => {
  const user = testUser();
  const directory = `/var/tmp/jacamar-stand-in-${process.pid}`;
  let standIn: StandIn;
  before(async () => {
    standIn = await installStandIn("slurm", directory, user);
  });
  after(async () => {
    await standIn.stop();
    assert.ok(!existsSync(directory));
  });

  function argv(program: string, ...args: string[]) {
    return [`${standIn.bin}/${program}`, ...args];
  }
  function call(program: string, ...args: string[]) {
    return asUser(user, argv(program, ...args), { env: loginEnvironment(user) });
  }
  async function until(number: number, state: string): Promise<void> {
    for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
      if ((await standIn.jobs()).find((job) => job.number === number)?.state === state) return;
    }
    assert.fail(`Job ${number} did not come to be ${state}`);
  }

  test("runs a job as the user, in the background, in a session of its own", async () => {
    const submitted = await call(
      "sbatch",
      "--parsable",
      `--output=${user.home}/%j.out`,
      "--wrap",
      "ps -o user=,sess=,pid= $$",
    );
    assert.equal(submitted.stdout, "1\n", submitted.stderr);
    await until(1, "ended");
    const printed = await asUser(user, ["bash", "-c", "cat 1.out; rm 1.out"]);
    assert.match(printed.stdout, new RegExp(`^${user.name.slice(0, 7)}\\S*\\s+(\\d+)\\s+\\1\n$`));
  });

  test("counts calls", async () => {
    const before = standIn.calls("squeue");
    await call("squeue");
    await call("squeue");
    assert.equal(standIn.calls("squeue"), before + 2);
  });

  test("lets a program fail so many times, and then work", async () => {
    standIn.fault("squeue", { kind: "fails", times: 1 });
    const first = await call("squeue", "-h");
    const second = await call("squeue", "-h");
    assert.match(first.stderr, /Unable to contact slurm controller/);
    assert.deepEqual([first.exitCode, second.exitCode], [1, 0]);
  });

  test("lets a program print half of its answer, or nonsense", async () => {
    standIn.fault("scontrol", { kind: "half", times: 1 });
    const half = await call("scontrol", "ping");
    standIn.fault("scontrol", { kind: "nonsense" });
    const nonsense = await call("scontrol", "ping");
    standIn.mend("scontrol");
    const whole = await call("scontrol", "ping");
    assert.equal(half.stdout, whole.stdout.slice(0, Math.floor(whole.stdout.length / 2)));
    assert.doesNotMatch(nonsense.stdout, /Slurmctld/);
  });

  test("accepts a submission and dies before it says so", async () => {
    standIn.fault("sbatch", { kind: "dies", times: 1 });
    const submitted = await call("sbatch", "--job-name=lost", "--hold", "--output=/dev/null", "--wrap", "true");
    assert.equal(submitted.signal, "SIGKILL");
    assert.equal(submitted.stdout, "");
    assert.equal((await standIn.jobs()).at(-1)?.name, "lost");
  });

  test("gives up on a submission, and takes it later, with the script as it was", async () => {
    const script = `${user.home}/late-${process.pid}`;
    const write = (text: string) =>
      asUser(user, ["sh", "-c", `printf '%s\\n' '#!/bin/sh' "$2" >"$1"`, "-", script, text]);
    await write("true");
    standIn.fault("sbatch", { kind: "late", times: 1, milliseconds: 1000 });
    const submitted = await call("sbatch", "--job-name=late", "--hold", "--output=/dev/null", script);
    await asUser(user, ["rm", script]);
    assert.match(submitted.stderr, /Unable to contact slurm controller/);
    assert.equal(submitted.exitCode, 1);
    assert.notEqual((await standIn.jobs()).at(-1)?.name, "late");
    for (let look = 0; look < 3000 && (await standIn.jobs()).at(-1)?.name !== "late"; look += 1);
    assert.equal((await standIn.jobs()).at(-1)?.name, "late");
  });

  test("hangs while its controller is frozen, and answers when it is thawed", async () => {
    standIn.controller.freeze();
    const running = startAsUser(user, argv("scontrol", "ping"), { env: loginEnvironment(user) });
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(running.stdout(), "");
    standIn.controller.thaw();
    assert.equal((await running.done).exitCode, 0);
  });

  test("refuses connections while its controller is down, and its jobs go on", async () => {
    const submitted = await call("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 1");
    const number = Number(submitted.stdout);
    await until(number, "running");
    standIn.controller.down();
    const asked = await call("squeue");
    await standIn.controller.up();
    assert.equal(asked.exitCode, 1);
    await until(number, "ended");
  });

  test("forgets a job, holds all, and lets misfortunes happen", async () => {
    await standIn.set({ reason: "Maintenance", estimateSeconds: 3600 });
    const submitted = await call("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 60");
    const number = Number(submitted.stdout);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const waiting = await call("squeue", "-h", "-j", String(number), "-o", "%T %r %S");
    assert.match(waiting.stdout, /^PENDING Maintenance \d{4}-/);
    await standIn.set({ reason: "", estimateSeconds: 0 });
    await until(number, "running");
    await standIn.befall("memory", number);
    await until(number, "ended");
    const ended = await call("squeue", "-h", "-t", "all", "-j", String(number), "-o", "%T");
    assert.equal(ended.stdout, "OUT_OF_MEMORY\n");
    await standIn.befall("forget", number);
    const forgotten = await call("squeue", "-h", "-t", "all", "-j", String(number));
    assert.match(forgotten.stderr, /Invalid job id/);
  });
});
