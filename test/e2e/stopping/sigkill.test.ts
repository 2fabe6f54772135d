import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { Running } from "../../harness/machine.ts";
import { type AnyJob, Jobs, logOf, type Wanted } from "./jobs.ts";
import { processesOfJob, processesWith, tracesAfter } from "./traces.ts";

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
  driver: /jacamar(?:\.cjs)? --no-auth/,
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
  { stage: "prepare", victim: "driver", times: 5, mostMilliseconds: 700 },
  { stage: "prepare", victim: "Podman client", times: 3, mostMilliseconds: 500 },
  { stage: "prepare", victim: "conmon", times: 2, mostMilliseconds: 600 },
  { stage: "prepare", victim: "login Bash", times: 1, mostMilliseconds: 0 },
  { stage: "host", victim: "driver", times: 4, mostMilliseconds: 300 },
  { stage: "host", victim: "login Bash", times: 2, mostMilliseconds: 200 },
  { stage: "container", victim: "driver", times: 4, mostMilliseconds: 700 },
  { stage: "container", victim: "Podman client", times: 4, mostMilliseconds: 700 },
  { stage: "container", victim: "conmon", times: 1, mostMilliseconds: 500 },
  { stage: "container", victim: "the script's shell", times: 1, mostMilliseconds: 200 },
];

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

describe("SIGKILL of the driver leaves nothing that cleanup does not end while prepare runs", () => {
  /** A program that hangs for as long as there is a file beside it, with a child. */
  function hanging(name: string, when: string, otherwise: string): string {
    const flag = jobs.write(`${name}.hang`, "");
    const hang = `sleep 316.${process.pid} & echo hanging >&2; sleep 317.${process.pid}`;
    return jobs.write(name, `#!/bin/bash\nif [ -e '${flag}' ] && ${when}; then ${hang}; fi\n${otherwise}\n`, 0o700);
  }

  async function killWhileHanging(program: string, wanted: Wanted): Promise<void> {
    const job = jobs.job({ ...wanted, image });
    assert.equal((await job.config()).exitCode, 0);
    const running = job.startPrepare();
    while (processesWith(`317.${process.pid}`).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(running.kill("SIGKILL"));
    await running.done;
    rmSync(`${program}.hang`);
    const cleanup = await job.cleanup();
    assert.equal(cleanup.exitCode, 0, logOf(cleanup));
    assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 3), []);
    for (const number of [316, 317]) assert.deepEqual(processesWith(`${number}.${process.pid}`), []);
  }

  it("the administrator's prep_script", async () => {
    const program = hanging("prep", "true", "true");
    await killWhileHanging(program, { podman: `prep_script = "${program}"` });
  });

  it("the start-up files of a login", async () => {
    const program = hanging("shell", `[[ "$*" == *'env -0'* ]]`, 'exec /bin/bash "$@"');
    await killWhileHanging(program, { general: `shell_path = "${program}"` });
  });
});

/** Kills the first such process that comes after the delay. False when none came before the stage ended. */
async function killSoon(job: AnyJob, running: Running, victim: keyof typeof victims, delay: number): Promise<boolean> {
  const over = new AbortController();
  void running.done.then(() => over.abort());
  await new Promise((resolve) => setTimeout(resolve, delay));
  const end = performance.now() + 5000;
  while (!over.signal.aborted && performance.now() < end) {
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
