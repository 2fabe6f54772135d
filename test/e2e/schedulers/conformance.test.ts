import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { SchedulerId } from "../../../src/executor/batch/scheduler.ts";
import { accepted, type Contender, contenders, openStandIn, submit, until } from "./contender.ts";

/**
 * The same questions to a real Slurm and to every stand-in, through what the driver itself uses: so the stand-ins are held to the real
 * thing, and the driver's reading of each scheduler to what it says.
 */
function conforms(name: string, { skip, open }: (typeof contenders)[string]): void {
  describe(name, { skip, concurrency: 4 }, () => {
    let contender: Contender;
    before(async () => {
      contender = await open();
    });
    after(() => contender.close());

    function printed(file: string): string {
      return readFileSync(join(contender.directory, file), "utf8");
    }

    async function appears(file: string): Promise<void> {
      for (let look = 0; look < 1200 && !existsSync(join(contender.directory, file)); look += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.ok(existsSync(join(contender.directory, file)), `${file} did not appear`);
    }

    test("a job that passes", async () => {
      const script = `nodes() { ${contender.scheduler.nodeList}; }\n{ id -un; nodes; } >passed`;
      const { id } = await accepted(contender, script);
      const state = await until(contender, id, "ended");
      assert.deepEqual([state.end, state.exitCode], ["completed", 0]);
      assert.match(printed("passed"), new RegExp(`^${contender.user.name}\n[A-Za-z0-9.-]+\n$`));
    });

    test("a job that fails, whose own words are in the log", async () => {
      const { id, logFile } = await accepted(contender, "echo to the log; echo and errors >&2; exit 7");
      const state = await until(contender, id, "ended");
      assert.deepEqual([state.end, state.exitCode], ["failed", 7]);
      // LSF writes its report above what the job wrote.
      assert.match(readFileSync(logFile, "utf8"), /(?:^|\nThe output \(if any\) follows:\n\n)to the log\nand errors\n/);
    });

    test("a job that a signal ends", async () => {
      const { id } = await accepted(contender, "kill -KILL $$");
      const state = await until(contender, id, "ended");
      assert.deepEqual([state.end, state.exitCode], ["failed", 137]);
    });

    test("a job that waits, is found by its name, and is cancelled", async () => {
      const { id, name: jobName } = await accepted(contender, "touch ran", contender.words.hold);
      const state = await until(contender, id, "pending");
      assert.ok(state.reason !== undefined, "it says why");
      const { scheduler, call, user } = contender;
      assert.deepEqual(await scheduler.find(jobName, user.name, call), [id]);
      assert.deepEqual(await scheduler.find(`${jobName}0`, user.name, call), []);
      await scheduler.cancel(id, call);
      assert.deepEqual(await scheduler.find(jobName, user.name, call), []);
      const ended = await until(contender, id, "ended");
      assert.equal(ended.end, "cancelled");
      assert.equal(existsSync(join(contender.directory, "ran")), false);
    });

    test("a job that runs, and is told to end", async () => {
      // A signal that is sent to all of a job interrupts what its script waits for.
      const script = "trap 'echo told >told; exit 9' TERM HUP INT URG\ntouch up1\nwhile :; do sleep 0.1; done";
      const { id } = await accepted(contender, script);
      await appears("up1");
      const state = await until(contender, id, "running");
      assert.ok(state.nodes !== undefined);
      await contender.scheduler.terminate(id, contender.call);
      const ended = await until(contender, id, "ended");
      assert.deepEqual([ended.end, ended.exitCode], ["failed", 9]);
      assert.equal(printed("told"), "told\n");
    });

    test("a job that runs, and is cancelled", async () => {
      const script = "trap 'echo told >cancelled; exit 9' TERM HUP INT\ntouch up2\nwhile :; do sleep 0.1; done";
      const { id, name: jobName } = await accepted(contender, script);
      await appears("up2");
      const { scheduler, call, user } = contender;
      await scheduler.cancel(id, call);
      const ended = await until(contender, id, "ended");
      // PBS shows what the script made of it.
      assert.ok(ended.end === "cancelled" || (ended.end === "failed" && ended.exitCode === 9), JSON.stringify(ended));
      assert.equal(printed("cancelled"), "told\n");
      assert.deepEqual(await scheduler.find(jobName, user.name, call), []);
      // Once more is no error.
      await scheduler.cancel(id, call);
    });

    test("a job that does not want to end", async () => {
      const { id } = await accepted(contender, "trap '' TERM HUP INT\ntouch up3\nwhile :; do sleep 0.1; done");
      await appears("up3");
      await contender.scheduler.cancel(id, contender.call);
      const ended = await until(contender, id, "ended", 30);
      assert.notEqual(ended.end, "completed");
    });

    test("a job that takes too long", async () => {
      const { id } = await accepted(contender, "sleep 300", contender.words.limit);
      const ended = await until(contender, id, "ended", 120);
      assert.equal(ended.end, "time-limit");
    });

    test("many jobs at once, known and unknown", async () => {
      const { scheduler, call } = contender;
      const held = await accepted(contender, "true", contender.words.hold);
      const stranger = strangerTo(held.id);
      const ids = [held.id, stranger];
      const states = await scheduler.ask(ids, call);
      assert.deepEqual(
        ids.map((id) => states.get(id)?.kind),
        ["pending", "unknown"],
      );
      const alone = await scheduler.ask([stranger], call);
      assert.equal(alone.get(stranger)?.kind, "unknown");
      await scheduler.cancel(held.id, call);
    });

    test("a job that it does not take, and says why", async () => {
      const { submitted } = await submit(contender, "true", contender.words.nowhere);
      assert.equal(submitted.kind, "refused");
      assert.match("said" in submitted ? submitted.said : "", /queue|partition/i);
    });

    test("a job with an option that there is not", async () => {
      const { submitted } = await submit(contender, "true", ["-~"]);
      assert.equal(submitted.kind, "refused");
    });

    test("a step in a job that runs", async (context) => {
      const { scheduler, call, user } = contender;
      const { steps } = scheduler;
      if (steps === undefined) return context.skip("jobs of this scheduler cannot share an allocation");
      const { id } = await accepted(contender, "touch up4; sleep 60");
      await appears("up4");
      const { jobFile } = await submit(contender, "echo out; exit 5", contender.words.hold);
      const first = steps.run(id, "jacamar-ci-step", jobFile);
      const ended = await contender.run(first.argv, first.environment);
      assert.equal(ended.exitCode, 5, ended.stderr);
      assert.equal(ended.stdout, "out\n");
      assert.deepEqual(await steps.find("jacamar-ci-step", user.name, call), []);

      const { jobFile: long } = await submit(contender, "touch up5; exec sleep 60", contender.words.hold);
      const second = steps.run(id, "jacamar-ci-step", long);
      const running = contender.run(second.argv, second.environment);
      await appears("up5");
      const [step, ...more] = (await steps.find("jacamar-ci-step", user.name, call)) ?? [];
      assert.ok(step !== undefined && more.length === 0);
      await steps.cancel(step, call);
      assert.notEqual((await running).exitCode, 0);
      assert.equal((await until(contender, id, "running")).kind, "running");
      await scheduler.cancel(id, call);
    });
  });
}

// A real Slurm's time limit takes more than a minute, in which the others are done.
describe("what the driver needs of", { concurrency: 2 }, () => {
  for (const [name, contender] of Object.entries(contenders)) conforms(name, contender);
});

describe("PBS without a history", () => {
  let contender: Contender;
  before(async () => {
    contender = await openStandIn("pbs", { history: "off" });
  });
  after(() => contender.close());

  test("forgets a job with its end, which is none for the driver", async () => {
    const { scheduler, call, user } = contender;
    const { id, name } = await accepted(contender, "until [ -e end ]; do sleep 0.1; done; exit 7");
    const find = () => scheduler.find(name, user.name, call);
    assert.deepEqual(await find(), [id], "it is known while it runs");
    writeFileSync(join(contender.directory, "end"), "");
    while ((await find())?.length !== 0) await new Promise((resolve) => setTimeout(resolve, 50));
    const state = (await scheduler.ask([id], call)).get(id);
    assert.deepEqual(state, { kind: "unknown", said: `qstat: Unknown Job Id ${id}` });
  });
});

/** An id of the same form that the scheduler has not given out. */
function strangerTo(id: SchedulerId): SchedulerId {
  const text = id.startsWith("ƒ") || id.startsWith("f") ? `${id.slice(0, 1)}zzzzzzz` : id.replace(/^\d+/, "99999999");
  if (!isId(text)) throw new TypeError();
  return text;
}

function isId(text: string): text is SchedulerId {
  return text !== "";
}
