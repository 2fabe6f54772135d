import { jobLine } from "../../src/record/compose.ts";
import { encodeJob, encodeStage } from "../../src/record/encode.ts";
import type { End, Findings, StageLine, StepOfStage } from "../../src/record/line.ts";
import type { StepName } from "../../src/measure/measurements.ts";

/** What the jobs of a made record are like; all that is left out is ordinary. */
export interface MadeJobs {
  readonly count: number;
  /** Names of projects, users and images, which the jobs have in turn. */
  readonly projects?: readonly string[];
  readonly accounts?: readonly string[];
  readonly images?: readonly string[];
  /** Text that some messages and job names have. */
  readonly text?: string;
}

const begin = Date.UTC(2026, 9, 25);
const days = 30;

/**
 * The lines of a record of many jobs over a month, as this program writes them: for tests and measurements of what reads
 * records. It is the same each time. Every fiftieth job has no line of its own, as if it had been killed.
 */
export function* recordLines(wanted: MadeJobs): Generator<string> {
  const random = numbers();
  for (let index = 0; index < wanted.count; index += 1) {
    const stages = stagesOf(index, wanted, random);
    for (const stage of stages) yield encodeStage(stage);
    const job = index % 50 === 49 ? undefined : jobLine(stages);
    if (job) yield encodeJob(job);
  }
}

type Random = () => number;

function stagesOf(index: number, wanted: MadeJobs, random: Random): StageLine[] {
  const { projects = ["group/demo"], accounts = ["alice"], images = ["debian:12"], text = "lint" } = wanted;
  const scheduler = random() < 0.6;
  const queue = scheduler ? spread(200, random) : 0;
  const script = spread(180, random);
  const pull = random() < 0.7 ? 0.1 : spread(20, random);
  const started = begin + ((index + random()) / wanted.count) * days * 86_400_000;
  const whose = {
    job: 100_000 + index,
    job_name: index % 7 === 0 ? text : "unit",
    project: 10 + (index % projects.length),
    project_full_path: projects[index % projects.length] ?? "",
    pipeline_id: 5000 + Math.floor(index / 4),
    account: accounts[index % accounts.length] ?? "",
    runner: "abcdef123",
    instance: "cluster-a",
    host: "login1",
    executor: scheduler ? "slurm" : "shell",
    version: "0.1.0",
  };
  const image: Findings = {
    mechanism: "podman",
    image: images[index % images.length] ?? "",
    image_id: "ab".repeat(32),
    digest: `sha256:${"cd".repeat(32)}`,
    image_bytes: 500_000_000,
  };
  let at = 0;
  const stage = (name: string, steps: readonly (readonly [StepName, number])[], more: Findings & Partial<End> = {}) => {
    let offset = 0.03;
    const placed = steps.map(([step, seconds]): StepOfStage => {
      const made = { name: step, at: offset, seconds };
      offset += seconds + 0.005;
      return made;
    });
    const line: StageLine = {
      schema: 1,
      kind: "stage",
      key: `${whose.job}-${index.toString(16).padStart(12, "0")}`,
      time: new Date(started + at * 1000).toISOString(),
      stage: name,
      seconds: offset + 0.02,
      outcome: "passed",
      steps: placed,
      ...more,
      ...whose,
    };
    at += line.seconds + 0.05;
    return line;
  };
  const bring: Findings = { ...image, cache: pull === 0.1 ? "hit" : "pulled" };
  const steps: (readonly [StepName, number])[] = [
    ["directories", 0.01],
    ["login", 0.1 + random() / 10],
    ["pull", pull],
    ["trial", 0.22],
  ];
  const lines = [stage("config", [])];
  const failure = failureOf(random(), text);
  if (failure?.blame === "site") lines.push(stage("prepare", steps, { ...bring, ...failure }));
  else {
    const waited: (readonly [StepName, number])[] = scheduler ? [["queue", queue]] : [];
    const batch: Findings = scheduler
      ? { scheduler_id: String(7000 + index), node: `node${index % 64}`, queue_seconds: queue }
      : {};
    const memory: Findings = { peak_memory_bytes: Math.floor(1e9 * random()), memory_limit_bytes: 2 ** 31 };
    const own: readonly (readonly [StepName, number])[] = [
      ...waited,
      ["container", 0.2],
      ["script", script],
      ["end", 0.1],
    ];
    lines.push(
      stage("prepare", steps, bring),
      stage("prepare_script", [
        ["login", 0.02],
        ["script", 0.02],
      ]),
      stage("get_sources", [
        ["login", 0.02],
        ["script", 0.4 + random()],
      ]),
      stage("build_script", own, { ...image, ...batch, ...memory, exit_code: 0, ...failure }),
      stage(
        "after_script",
        [
          ["container", 0.2],
          ["script", 0.05],
          ["end", 0.1],
        ],
        image,
      ),
      stage("upload_artifacts_on_success", [
        ["login", 0.02],
        ["script", 0.3],
      ]),
      stage("cleanup_file_variables", [
        ["login", 0.02],
        ["script", 0.02],
      ]),
    );
  }
  lines.push(
    stage("cleanup", [
      ["containers", 0.1],
      ["processes", 0.01],
      ["files", 0.03],
    ]),
  );
  return lines;
}

function failureOf(chance: number, text: string): End | undefined {
  if (chance < 0.83) return undefined;
  if (chance < 0.94) {
    return {
      outcome: "failed",
      exit_code: 2,
      error: "script_failed",
      blame: "job",
      message: "The script ended with exit code 2",
    };
  }
  const error = chance < 0.97 ? "image_pull_failed" : "disk_full";
  return { outcome: "error", error, blame: "site", message: `Cannot pull the image "${text}": the registry is away` };
}

/** Mostly short, now and then long. */
function spread(mean: number, random: Random): number {
  return Math.round(-Math.log(1 - random()) * mean * 1000) / 1000;
}

/** Numbers from 0 to 1 that look random and are the same each time. */
function numbers(): Random {
  let state = 42;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
