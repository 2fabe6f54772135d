import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startBrowser } from "../test/harness/browser.ts";
import { startGitlab, type TestGitlab } from "../test/harness/gitlab.ts";
import { generatedScript, TestJob } from "../test/harness/job.ts";
import { asUser, checkout, loginEnvironment, testUser, type User } from "../test/harness/machine.ts";
import { makeServiceAccount } from "../test/harness/service-account.ts";
import { recordLines } from "../test/harness/record-lines.ts";
import { stageBundle } from "../test/harness/stage.ts";
import { measureBatch, measureQueue } from "./batch.ts";
import { measureCommands } from "./commands.ts";
import { memoryOf } from "./memory.ts";
import { median, quantile } from "./statistics.ts";
import { ms, Table } from "./table.ts";

/**
 * Measures the bundle against the bare programs. Both sides of a comparison take turns within one run, so that whatever
 * else the machine does hits both. It prints Markdown; `--write` puts it into docs/performance.md.
 */
const { values } = parseArgs({
  options: { write: { type: "boolean" }, rounds: { type: "string", default: "21" }, only: { type: "string" } },
});
const rounds = Math.max(15, Number(values.rounds));
const image = "localhost/jacamar-demo:latest";
const runnerImage = "localhost/jacamar-runner:latest";

/** The scripts of a job; with config, prepare and cleanup they are its stages. */
const tenStages = [
  "prepare_script",
  "get_sources",
  "restore_cache",
  "download_artifacts",
  "build_script",
  "after_script",
  "archive_cache",
  "upload_artifacts_on_success",
  "cleanup_file_variables",
];
/** Lines that the script of the latency measurement prints. */
const lines = 300;
/** Jobs of the page that is made and opened. */
const jobsOfReport = 100_000;

const user = testUser();
const dataDir = join(user.home, ".jacamar-bench");
const stage = stageBundle();
const table = new Table();

const parts: Readonly<Record<string, () => Promise<void>>> = {
  host: measureHostStage,
  container: measureContainerStage,
  jobs: measureWholeJobs,
  memory: measureMemory,
  latency: measureLatency,
  authorisation: measureAuthorisation,
  record: measureRecord,
  report: measureReport,
  commands: measureAdministration,
  batch: () => measureBatch({ user, stage, table }),
  queue: () => measureQueue({ user, stage, table }),
};
const wanted = values.only?.split(",") ?? Object.keys(parts);
if (values.write === true && values.only !== undefined) throw new Error("--write writes all numbers, or none");
try {
  for (const name of wanted) {
    const measure = parts[name];
    if (measure === undefined) throw new Error(`There is no ${name}; there are ${Object.keys(parts).join(", ")}`);
    await measure();
  }
} finally {
  stage.remove();
  rmSync(dataDir, { recursive: true, force: true });
}
publish();

function configuration(podman = ""): string {
  return `[general]
executor = "shell"
data_dir = "${dataDir}"
run_mechanism = "podman"
[general.podman]
image_pull_policy = "never"
${podman}
`;
}

function newJob(options: { image?: string; podman?: string; slot?: number } = {}): TestJob {
  return new TestJob({
    user,
    jacamar: stage.jacamar,
    configuration: configuration(options.podman),
    ...(options.image === undefined ? {} : { image: options.image }),
    slot: options.slot ?? 0,
  });
}

async function begin(job: TestJob): Promise<void> {
  must(await job.config());
  must(await job.prepare());
}

async function end(job: TestJob): Promise<void> {
  must(await job.cleanup());
  job.remove();
}

function must(ended: { exitCode: number | undefined; stderr: string }): void {
  if (ended.exitCode !== 0) throw new Error(`A measured program failed: ${ended.stderr}`);
}

async function time(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const ended = await asUser(user, argv, { env });
  // Debian's ~/.bash_logout ends with a failing test, under the errexit of the script that a login shell has just run.
  if (argv[1] !== "-l") must(ended);
  return ended.durationMilliseconds;
}

async function measureHostStage(): Promise<void> {
  const job = newJob();
  await begin(job);
  const script = join(job.directory, "bare-script");
  writeFileSync(script, generatedScript("true"), { mode: 0o755 });
  execFileSync("chown", [`${user.uid}`, script]);
  const bare: number[] = [];
  const ours: number[] = [];
  const node: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await time(["bash", "-l", script], loginEnvironment(user)));
    const ended = await job.run("build_script", "true");
    must(ended);
    ours.push(ended.durationMilliseconds);
    node.push(await time([stage.node, "--eval", "0"], loginEnvironment(user)));
  }
  await end(job);
  const added = median(ours) - median(bare);
  table.add(
    "(a) a stage on the host",
    `${ms(median(ours))} against ${ms(median(bare))} for \`bash -l script\`: ${ms(added)} more, of which an empty Node.js takes ${ms(median(node))}`,
    "at most 35 ms more",
    added <= 35,
  );
}

async function measureContainerStage(): Promise<void> {
  const job = newJob({ image });
  await begin(job);
  must(await job.run("build_script", "true"));
  const volumes = ["buildsDir:Z", "projectCacheDir:z", "scriptsDir:Z"].map((entry) => {
    const [name = "", label = ""] = entry.split(":");
    const path = job.directoryOf(name);
    return ["--volume", `${path}:${path}:${label}`];
  });
  const runtime = existsSync(`/tmp/jacamar-ci-${user.uid}`) ? `/tmp/jacamar-ci-${user.uid}` : `/run/user/${user.uid}`;
  const env = { ...loginEnvironment(user), XDG_RUNTIME_DIR: runtime, TMPDIR: "/var/tmp" };
  const script = join(job.directoryOf("scriptsDir"), "build_script.bash");
  const argv = [
    "podman",
    "run",
    ...volumes.flat(),
    "--entrypoint",
    '["/bin/bash","-l","-c"]',
    "--rm",
    "--tty",
    "--pull=never",
    image,
    script,
  ];
  const bare: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await time(argv, env));
    const ended = await job.run("build_script", "true");
    must(ended);
    ours.push(ended.durationMilliseconds);
  }
  await end(job);
  const ratio = median(ours) / median(bare);
  table.add(
    "(b) a stage in a container",
    `${ms(median(ours))} against ${ms(median(bare))} for the same \`podman run\`: ${ratio.toFixed(2)} times`,
    "at most 1.25 times",
    ratio <= 1.25,
  );
}

async function measureWholeJobs(): Promise<void> {
  const kinds = [
    { name: "on the host", options: {} },
    { name: "script in a container, the rest on the host", options: { image } },
    { name: "all in containers", options: { image, podman: `runner_image = "${runnerImage}"` } },
  ];
  const times = kinds.map((): number[] => []);
  for (let round = 0; round < 15; round += 1) {
    for (const [index, kind] of kinds.entries()) {
      const job = newJob(kind.options);
      const start = performance.now();
      await begin(job);
      for (const name of tenStages) must(await job.run(name, "true"));
      must(await job.cleanup());
      times[index]?.push(performance.now() - start);
      job.remove();
    }
  }
  for (const [index, kind] of kinds.entries()) {
    table.add(
      `(c) a whole job, ${kind.name}`,
      `${ms(median(times[index] ?? []))} (config, prepare, nine scripts, cleanup)`,
      "",
      undefined,
    );
  }
}

async function measureMemory(): Promise<void> {
  for (const count of [1, 20]) {
    const jobs = Array.from({ length: count }, (_, slot) => newJob({ slot }));
    for (const job of jobs) await begin(job);
    const running = jobs.map((job) => job.start("build_script", "echo started; sleep 600"));
    for (const each of running) await each.until("started");
    const { mean, text } = memoryOf(running);
    for (const each of running) each.killGroup("SIGTERM");
    for (const each of running) await each.done;
    for (const job of jobs) await end(job);
    table.add(
      `(d) memory of a waiting driver, ${count} job${count === 1 ? "" : "s"}`,
      text,
      "at most 15 MB",
      mean <= 15,
    );
  }
}

async function measureLatency(): Promise<void> {
  for (const [name, options] of [
    ["on the host", {}],
    ["in a container", { image }],
  ] as const) {
    const job = newJob(options);
    await begin(job);
    const running = job.start(
      "build_script",
      `i=0; while [ $i -lt ${lines} ]; do echo "at $EPOCHREALTIME"; i=$((i+1)); sleep 0.01; done`,
    );
    const ended = await running.done;
    must({ exitCode: ended.exitCode, stderr: ended.stderr });
    const origin = running.startedAtMilliseconds;
    const delays = running.chunks.flatMap((chunk) =>
      [...chunk.text.matchAll(/^at (\d+)\.(\d{6})$/gm)].map(
        (match) => origin + chunk.atMilliseconds - (Number(match[1]) * 1000 + Number(match[2]) / 1000),
      ),
    );
    await end(job);
    const late = quantile(delays, 0.95);
    table.add(
      `(e) a line until it is on our output, ${name}`,
      `${ms(median(delays))}, 95th percentile ${ms(late)} (${delays.length} lines)`,
      "95th percentile below 50 ms",
      late < 50,
    );
  }
}

async function measureAuthorisation(): Promise<void> {
  if (process.getuid?.() !== 0) {
    table.add("(f), (g) authorisation", "not measured: becoming another user takes root", "", undefined);
    return;
  }
  const gitlab = await startGitlab();
  const service = makeServiceAccount(stage);
  try {
    const root = { name: "root", uid: 0, gid: 0, home: "/root" };
    const plain = newJob();
    const setuid = authorisedJob(gitlab, root, "setuid");
    const sudo = authorisedJob(gitlab, service.user, "sudo");
    const capable = authorisedJob(gitlab, service.user, "setuid");
    const jobs = [plain, setuid, sudo, capable];
    for (const job of jobs) await begin(job);
    const configs = jobs.map((): number[] => []);
    const runs = jobs.map((): number[] => []);
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, job] of jobs.entries()) {
        const config = await job.config();
        must(config);
        configs[index]?.push(config.durationMilliseconds);
        const run = await job.run("build_script", "true");
        must(run);
        runs[index]?.push(run.durationMilliseconds);
      }
    }
    for (const job of jobs) await end(job);
    const more = (times: readonly (readonly number[])[], index: number) =>
      median(times[index] ?? []) - median(times[0] ?? []);
    const config = more(configs, 1);
    table.add(
      "(f) `config` with a cached key, of a user who is known",
      `${ms(config)} more than without authorisation`,
      "at most 30 ms more",
      config <= 30,
    );
    const direct = more(runs, 1);
    table.add(
      "(g) `run` by setuid as root",
      `${ms(direct)} more than without authorisation`,
      "at most 5 ms more",
      direct <= 5,
    );
    table.add(
      "(g) `run` by setuid as a service account",
      `${ms(more(runs, 3))} more than without authorisation`,
      "",
      undefined,
    );
    table.add("(g) `run` by sudo", `${ms(more(runs, 2))} more than without authorisation`, "", undefined);
  } finally {
    service.remove();
    await gitlab.stop();
  }
}

/** What a stage pays for its line in the record, and for the line that tells what its script took. */
async function measureRecord(): Promise<void> {
  const jobs = [newJob(), newJob({ slot: 1, podman: '[record]\nlocation = "$DATA_DIR/record/jobs.jsonl"' })];
  for (const job of jobs) await begin(job);
  const times = jobs.map((): number[] => []);
  const without: number[] = [];
  for (let round = 0; round < 2 * rounds; round += 1) {
    for (const [index, job] of jobs.entries()) {
      const run = await job.run("build_script", "true");
      must(run);
      times[index]?.push(run.durationMilliseconds);
    }
    // The same, of the runner's: its log has no such line.
    const plain = await jobs[0]?.run("get_sources", "true");
    if (plain) without.push(plain.durationMilliseconds);
  }
  for (const job of jobs) await end(job);
  const line = median(times[1] ?? []) - median(times[0] ?? []);
  table.add(
    "(m) a stage with its line in the record",
    `${ms(line)} more than without a record`,
    "at most 3 ms more",
    line <= 3,
  );
  const summary = median(times[0] ?? []) - median(without);
  table.add(
    "(m) the line that tells what a script took",
    `${ms(summary)} more than without`,
    "at most 3 ms more",
    summary <= 3,
  );
}

/** The page of many jobs: how long it takes to make, and to open in a browser. */
async function measureReport(): Promise<void> {
  const directory = mkdtempSync("/var/tmp/jacamar-bench-");
  const record = join(directory, "jobs.jsonl");
  const page = join(directory, "report.html");
  const browser = await startBrowser();
  try {
    const descriptor = openSync(record, "w");
    const projects = Array.from({ length: 60 }, (_, index) => `group-${index % 9}/project-${index}`);
    const accounts = Array.from({ length: 40 }, (_, index) => `user${index}`);
    let text = "";
    for (const line of recordLines({ count: jobsOfReport, projects, accounts })) {
      text += `${line}\n`;
      if (text.length < 1_000_000) continue;
      writeSync(descriptor, text);
      text = "";
    }
    writeSync(descriptor, text);
    closeSync(descriptor);
    const made: number[] = [];
    const opened: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const begun = performance.now();
      execFileSync(stage.jacamar, ["report", "--output", page, record], { stdio: ["ignore", "ignore", "pipe"] });
      made.push(performance.now() - begun);
      const view = await browser.open(page, { width: 1280, height: 900, colours: "light" });
      opened.push(Number(await view.evaluate("document.documentElement.dataset.ready")));
      await view.close();
    }
    const megabytes = (path: string) => `${Math.round(statSync(path).size / 1e6)} MB`;
    const all = `${jobsOfReport.toLocaleString("en")} jobs`;
    const making = median(made);
    table.add(`(n) \`jacamar report\` of ${all} (${megabytes(record)})`, ms(making), "below 3 s", making < 3000);
    const opening = median(opened);
    table.add(`(n) opening its page (${megabytes(page)}) in Chromium`, ms(opening), "below 3 s", opening < 3000);
  } finally {
    await browser.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What `check`, `explain` and `doctor` take. */
async function measureAdministration(): Promise<void> {
  const job = newJob({ image });
  await measureCommands({ user, jacamar: stage.jacamar, job }, rounds, table);
  job.remove();
}

function authorisedJob(gitlab: TestGitlab, runner: User, downscope: "setuid" | "sudo"): TestJob {
  const id = Math.floor(Math.random() * 1e9) + 1;
  const text = configuration().replace(
    "[general.podman]",
    `gitlab_server = "${gitlab.url}"\njwt_env_variable = "SITE_ID_TOKEN"\n[general.podman]`,
  );
  return new TestJob({
    user,
    runner,
    before: [],
    jacamar: join(stage.directory, "jacamar-auth"),
    id,
    slot: (downscope === "setuid" ? 1 : 2) + (runner.uid === 0 ? 0 : 2),
    configuration: `${text}[auth]\ndownscope = "${downscope}"\n[auth.logging]\nenabled = false\n`,
    variables: { SITE_ID_TOKEN: gitlab.sign({ jobId: id, login: user.name }) },
  });
}

function publish(): void {
  const version = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: "utf8" }).split("\n")[0] ?? "";
  const text = [
    `Medians of ${rounds} rounds (whole jobs: 15), with \`npm run bench\`.`,
    "",
    `- ${cpus().length} processors (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split("-")[0]}`,
    `- Node.js ${process.version}, ${version("bash", "--version")}, ${version("podman", "--version")}`,
    "",
    "| What | Measured | Aim | |",
    "| --- | --- | --- | --- |",
    ...table.rows,
  ].join("\n");
  if (values.write !== true) return;
  const path = checkout("docs/performance.md");
  const [before = "", rest = ""] = readFileSync(path, "utf8").split("<!-- numbers -->\n");
  const after = rest.split("<!-- end of numbers -->")[1] ?? "";
  writeFileSync(path, `${before}<!-- numbers -->\n${text}\n<!-- end of numbers -->${after}`);
}
