import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Running } from "../../harness/machine.ts";
import { type AnyJob, Jobs, logOf } from "./jobs.ts";
import { processesOfJob, tracesAfter } from "./traces.ts";

let jobs: Jobs;
let image = "";
before(async () => {
  jobs = new Jobs("sigkill");
  // Of our own, so that a container without a name can be told from those of other tests.
  image = await jobs.makeImage("jacamar-e2e-sigkill");
});
after(() => jobs.close());

/** A process of ours or of Podman's, by what stands on its command line. */
const victims = {
  driver: /jacamar\.cjs --no-auth/,
  "Podman client": /(?:^|\/)podman (?:run|pull|image|save|exec|ps|rm)/,
  conmon: /conmon --api/,
  "login Bash": /^\S*bash (?:-l|--noprofile)/,
  "the script's shell": /\.generated$/,
} as const;

interface Round {
  readonly stage: "prepare" | "host" | "container";
  readonly victim: keyof typeof victims;
  /** How often, each time after another delay up to that long. */
  readonly times: number;
  readonly mostMilliseconds: number;
}

const rounds: readonly Round[] = [
  { stage: "prepare", victim: "driver", times: 6, mostMilliseconds: 700 },
  { stage: "prepare", victim: "Podman client", times: 4, mostMilliseconds: 500 },
  { stage: "prepare", victim: "conmon", times: 2, mostMilliseconds: 600 },
  { stage: "prepare", victim: "login Bash", times: 2, mostMilliseconds: 0 },
  { stage: "host", victim: "driver", times: 5, mostMilliseconds: 300 },
  { stage: "host", victim: "login Bash", times: 3, mostMilliseconds: 200 },
  { stage: "container", victim: "driver", times: 6, mostMilliseconds: 700 },
  { stage: "container", victim: "Podman client", times: 5, mostMilliseconds: 700 },
  { stage: "container", victim: "conmon", times: 3, mostMilliseconds: 500 },
  { stage: "container", victim: "the script's shell", times: 2, mostMilliseconds: 200 },
];

/** Slow enough that a driver can be killed meanwhile. */
const prepScript = `#!/bin/bash\nsleep 314 & sleep 0.2; [ ! -e "$0.wait" ] || sleep 315; kill $!\n`;
const script = "(sleep 311 &) ; sleep 312 & sleep 313";

describe("SIGKILL leaves nothing that cleanup does not remove:", () => {
  for (const { stage, victim, times, mostMilliseconds } of rounds) {
    it(`${victim} in ${stage === "prepare" ? "prepare" : `a script, ${stage}`}, ${times} times`, async () => {
      for (let time = 0; time < times; time += 1) {
        // Spread over the whole time, with some chance in it.
        const delay = Math.round(((time + Math.random()) / times) * mostMilliseconds);
        const job = jobs.job(stage === "host" ? {} : { image });
        const what = `${victim} in ${stage} after ${delay} ms: `;
        assert.equal((await job.config()).exitCode, 0);
        if (stage !== "prepare") assert.equal((await job.prepare()).exitCode, 0);
        const running = stage === "prepare" ? job.startPrepare() : job.start("build_script", job.exporting(script));
        const hit = await killSoon(job, running, victim, delay);
        if (hit && victim !== "driver") await judge(running, stage, what);
        const cleanup = await job.cleanup();
        // A stage that nobody hit goes on until cleanup ends it.
        running.closeOutput();
        assert.equal(cleanup.exitCode, 0, what + logOf(cleanup));
        assert.doesNotMatch(logOf(cleanup), /ERROR|internal error|\n\s+at /, what);
        assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 3), [], what);
        assert.deepEqual(await jobs.containersOf(image), [], what);
        running.killGroup("SIGKILL");
      }
    });
  }
});

/** Kills the first such process that comes after the delay. False when none came before the stage ended. */
async function killSoon(job: AnyJob, running: Running, victim: keyof typeof victims, delay: number): Promise<boolean> {
  let over = false;
  void running.done.then(() => (over = true));
  await new Promise((resolve) => setTimeout(resolve, delay));
  const end = performance.now() + 5000;
  while (!over && performance.now() < end) {
    const found = processesOfJob(job, jobs.user).filter(({ command }) => victims[victim].test(command));
    for (const { pid } of found) kill(pid);
    if (found.length > 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}

/** What the driver says when it lives and what it had started does not. */
async function judge(running: Running, stage: Round["stage"], what: string): Promise<void> {
  const timer = setTimeout(() => running.killGroup("SIGKILL"), 30_000);
  const ended = await running.done;
  clearTimeout(timer);
  assert.equal(ended.signal, undefined, `${what}the driver hangs`);
  // In prepare a short-lived process may have done its work by then.
  if (stage !== "prepare") assert.notEqual(ended.exitCode, 0, what + logOf(ended));
  assert.doesNotMatch(logOf(ended), /internal error|\n\s+at /, what);
}
