import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Running } from "../../harness/machine.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import type { AnyJob, Wanted } from "../stopping/jobs.ts";
import { Cluster, logOf, slurmIdIn } from "./cluster.ts";

const demo = "localhost/jacamar-demo";
const places: readonly { readonly name: string; readonly wanted: Wanted }[] = [
  { name: "on the host", wanted: {} },
  { name: "in a container", wanted: { image: demo } },
];

describe("a job of Slurm that does not end by itself", { skip: slurmMissing(), concurrency: 2 }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("ending");
  });
  after(() => cluster.close());

  async function started(wanted: Wanted, body: string): Promise<{ job: AnyJob; running: Running }> {
    const job = cluster.job(wanted);
    await job.ready();
    const running = job.start("build_script", job.exporting(body));
    return { job, running };
  }

  for (const { name, wanted } of places) {
    it(`is ended on SIGTERM, ${name}, and its last words are shown`, async () => {
      const { job, running } = await started(wanted, "trap 'echo told; exit 9' TERM; echo up; sleep 300 & wait");
      await running.until("up", 30);
      running.killGroup("SIGTERM");
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.equal(ended.stdout.split("told").length, 2, ended.stdout);
      assert.match(ended.stderr, /was stopped by GitLab Runner/);
      assert.equal((await job.cleanup()).exitCode, 0);
      assert.deepEqual(await cluster.traces(job), []);
    });

    it(`is ended by force, ${name}, when it does not heed SIGTERM`, async () => {
      const general = 'kill_timeout = "1s"';
      const { job, running } = await started(
        { ...wanted, general },
        "trap '' TERM; echo up; while :; do sleep 1; done",
      );
      await running.until("up", 30);
      running.killGroup("SIGTERM");
      assert.equal((await running.done).exitCode, 2);
      assert.equal((await job.cleanup()).exitCode, 0);
      assert.deepEqual(await cluster.traces(job), []);
    });

    it(`is found and ended by cleanup, ${name}, when the driver was killed`, async () => {
      const { job, running } = await started(wanted, "echo up; sleep 300");
      await running.until("up", 30);
      running.killGroup("SIGKILL");
      running.closeOutput();
      await running.done;
      const cleanup = await job.cleanup();
      assert.equal(cleanup.exitCode, 0, logOf(cleanup));
      assert.deepEqual(await cluster.traces(job), []);
    });

    it(`is ended by the next stage, ${name}, when the driver was killed`, async () => {
      const { job, running } = await started(wanted, "echo up; sleep 300");
      await running.until("up", 30);
      running.killGroup("SIGKILL");
      running.closeOutput();
      await running.done;
      const after = await job.run("after_script", "echo after");
      assert.match(after.stdout, /after/, logOf(after));
      assert.deepEqual(
        cluster.queue().filter((line) => line.includes(`${job.id}-`)),
        [],
      );
      await job.cleanup();
    });

    it(`is told as the site's failure, ${name}, when an administrator cancels it`, async () => {
      const { job, running } = await started(wanted, "echo up; sleep 300");
      await running.until("up", 30);
      cluster.ask("scancel", slurmIdIn(running.stdout()));
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.match(ended.stderr, /was ended by Slurm: CANCELLED/);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    });

    it(`leaves no container, ${name}, when its shell on the node is killed`, async () => {
      const { job, running } = await started(wanted, "echo up; sleep 300");
      await running.until("up", 30);
      await cluster.jobs.asUser(["pkill", "-KILL", "-f", `${job.id}/build_script.job login`]);
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.match(ended.stderr, /has ended without an exit status of the script: FAILED/);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    });
  }

  it("is taken back on SIGTERM while it waits", async () => {
    const { job, running } = await started({ variables: { SCHEDULER_PARAMETERS: "--hold" } }, "echo up");
    await running.until("waits in the queue: JobHeldUser", 30);
    running.killGroup("SIGTERM");
    assert.equal((await running.done).exitCode, 2);
    assert.deepEqual(
      await cluster.traces(job).then((traces) => traces.filter((line) => line.startsWith("in the"))),
      [],
    );
    await job.cleanup();
    assert.deepEqual(await cluster.traces(job), []);
  });

  it("is ended, whenever SIGTERM comes, also while it is submitted", async () => {
    for (let delay = 0; delay <= 400; delay += 40) {
      const { job, running } = await started({}, "sleep 300");
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.killGroup("SIGTERM");
      const ended = await running.done;
      assert.notEqual(ended.exitCode, 0);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), [], `after ${delay} ms`);
    }
  });

  it("is found by cleanup, whenever SIGKILL comes", async () => {
    for (let delay = 40; delay <= 400; delay += 40) {
      const { job, running } = await started({}, "sleep 300");
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.killGroup("SIGKILL");
      running.closeOutput();
      await running.done;
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), [], `after ${delay} ms`);
    }
  });

  it("is told as the site's failure when somebody takes it back while it waits", async () => {
    const { job, running } = await started({ variables: { SCHEDULER_PARAMETERS: "--hold" } }, "echo up");
    await running.until("waits in the queue", 30);
    cluster.ask("scancel", slurmIdIn(running.stdout()));
    const ended = await running.done;
    assert.equal(ended.exitCode, 2, logOf(ended));
    assert.match(ended.stderr, /CANCELLED/);
    await job.cleanup();
  });

  it("is taken back when it waits longer than the administrator allows", async () => {
    const { job, running } = await started(
      { batch: 'queue_timeout = "3s"', variables: { SCHEDULER_PARAMETERS: "--hold" } },
      "echo up",
    );
    const ended = await running.done;
    assert.equal(ended.exitCode, 2);
    assert.match(ended.stderr, /waited longer than 3s in the queue, and was taken back/);
    assert.deepEqual(
      cluster.queue().filter((line) => line.includes(`${job.id}-`)),
      [],
    );
    await job.cleanup();
  });

  it("is followed on when it is requeued", async () => {
    const { job, running } = await started(
      {},
      'echo "start $((${SLURM_RESTART_COUNT-0} + 1))"; [ -n "${SLURM_RESTART_COUNT-}" ] || sleep 300',
    );
    await running.until("start 1", 30);
    cluster.ask("scontrol", "requeue", slurmIdIn(running.stdout()));
    // Slurm lets a requeued job begin after two minutes; an administrator can say: now.
    await new Promise((resolve) => setTimeout(resolve, 7000));
    cluster.ask("scontrol", "update", `JobId=${slurmIdIn(running.stdout())}`, "StartTime=now");
    const ended = await running.done;
    assert.equal(ended.exitCode, 0, logOf(ended));
    assert.match(ended.stdout, /was requeued/);
    assert.match(ended.stdout, /start 2/);
    await job.cleanup();
  });

  it("is taken back when it is held after a requeue", async () => {
    const { job, running } = await started({}, "echo up; sleep 300");
    await running.until("up", 30);
    cluster.ask("scontrol", "requeuehold", "State=SpecialExit", slurmIdIn(running.stdout()));
    await running.until("was requeued and waits again: job requeued in held state", 60);
    running.killGroup("SIGTERM");
    assert.equal((await running.done).exitCode, 2);
    const left = cluster.ask("squeue", "--noheader", "--states=SPECIAL_EXIT,PENDING,RUNNING", "--format=%j");
    assert.equal(left.includes(`${job.id}-`), false, left);
    await job.cleanup();
  });

  it("is told to have hit its memory limit", async () => {
    const { job, running } = await started(
      { variables: { SCHEDULER_PARAMETERS: "--mem=100" } },
      "echo up; head -c 400m /dev/zero | tail; sleep 20",
    );
    const ended = await running.done;
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.match(ended.stderr, /memory limit/);
    await job.cleanup();
  });
});
