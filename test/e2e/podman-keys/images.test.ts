import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { type BenchJob, prepared, refused, Workbench } from "../podman-support/workbench.ts";

let bench: Workbench;
before(() => {
  bench = new Workbench("images");
});
after(() => bench.close());

const demo = "localhost/jacamar-demo";
const busybox = "localhost/jacamar-busybox";
const runner = "localhost/jacamar-runner";

describe("where a stage runs", () => {
  /** For each stage the image whose name the script prints; `host` for none. */
  type Places = Readonly<Record<"get_sources" | "build_script" | "step_release" | "after_script", string>>;
  const onHost: Places = { get_sources: "host", build_script: "host", step_release: "host", after_script: "host" };
  const hostId = /^ID="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const inDemo = { build_script: "demo", step_release: "demo", after_script: "demo" };

  const cases: (BenchJob & { title: string; places: Places })[] = [
    { title: "is the host without run_mechanism", general: { run_mechanism: undefined }, image: demo, places: onHost },
    {
      title: "is the host without run_mechanism, also with force_mechanism and default_image",
      general: { run_mechanism: undefined, force_mechanism: true },
      podman: { default_image: busybox },
      places: onHost,
    },
    { title: "is the host when the job names no image", podman: { runner_image: runner }, places: onHost },
    {
      title: "is not default_image without force_mechanism",
      podman: { default_image: busybox },
      places: onHost,
    },
    {
      title: "is default_image with force_mechanism when the job names no image",
      general: { force_mechanism: true },
      podman: { default_image: busybox },
      places: { get_sources: "host", build_script: "busybox", step_release: "busybox", after_script: "busybox" },
    },
    {
      title: "is the job's image with force_mechanism, too",
      general: { force_mechanism: true },
      podman: { default_image: busybox },
      image: demo,
      places: { get_sources: "host", ...inDemo },
    },
    {
      title: "is the job's image for the user's stages and the host for the runner's",
      image: demo,
      places: { get_sources: "host", ...inDemo },
    },
    {
      title: "is runner_image for the runner's stages",
      podman: { runner_image: runner },
      image: demo,
      places: { get_sources: "runner", ...inDemo },
    },
    {
      title: "is an image for the user's steps alone with step_script_only",
      podman: { runner_image: runner, step_script_only: true },
      image: demo,
      places: { get_sources: "host", build_script: "demo", step_release: "demo", after_script: "host" },
    },
  ];
  async function look(job: TestJob, stages: readonly string[]): Promise<Record<string, string>> {
    await prepared(job);
    const seen: Record<string, string> = {};
    for (const stage of stages) {
      const { stdout, stderr } = await job.run(stage, ". /etc/os-release; echo id=$ID");
      const id = /^id=(.*)$/m.exec(stdout)?.[1] ?? stdout + stderr;
      seen[stage] = id === hostId ? "host" : id.replace(/^jacamar-/, "");
    }
    return seen;
  }

  for (const { title, places, ...options } of cases) {
    it(title, async () => {
      assert.deepEqual(await look(bench.job(options), Object.keys(places)), places);
    });
  }

  it("is the same where the user's steps are jobs of Slurm", { skip: slurmMissing() }, async () => {
    const onSlurm = new Workbench("images-of-slurm", "slurm");
    try {
      for (const { places, title: _, ...options } of cases.slice(-2)) {
        assert.deepEqual(await look(onSlurm.job(options), Object.keys(places)), places);
      }
    } finally {
      await onSlurm.close();
    }
  });

  it("is nowhere with force_mechanism and neither image nor default_image: the job is told to name one", async () => {
    const { exitCode, log } = await refused(bench.job({ general: { force_mechanism: true } }));
    assert.equal(exitCode, 1);
    assert.match(log, /^ERROR: This runner runs every job in a container, and the job names no image\n.*image: /m);
  });

  it("begins with the name of the machine, when the first script would find a container's", async () => {
    for (const { podman, machine, image = demo } of [
      { podman: { runner_image: runner }, machine: hostname() },
      { podman: { runner_image: runner }, machine: undefined, image: "" },
      { podman: { runner_image: runner, step_script_only: true }, machine: undefined },
      { podman: {}, machine: undefined },
    ]) {
      const job = bench.job({ image, podman });
      assert.equal((await job.config()).exitCode, 0);
      assert.equal(job.answer.hostname, machine);
    }
  });

  it("that was removed since the job began is named, and why it may have gone", async () => {
    const job = bench.job({ image: await bench.makeImage("removed") });
    const name = job.environment["CUSTOM_ENV_CI_JOB_IMAGE"] ?? "";
    await prepared(job);
    await bench.podman("rmi", "--force", name);
    const { exitCode, stdout, stderr } = await job.run("build_script", "true");
    assert.equal(exitCode, 2);
    assert.match(
      stdout + stderr,
      /^ERROR: The image "localhost\/removed-.*" has been removed .*\n {2}.*Retry the job\.$/m,
    );
  });

  it("sees in runner_image the Git of that image, and leaves the user a work tree that is the user's", async () => {
    const job = bench.job({ image: demo, podman: { runner_image: runner } });
    await prepared(job);
    const tree = job.directoryOf("projectDir");
    const sources = await job.run("get_sources", `git init -q ${tree} && cd ${tree} && git hash-object -w --stdin`);
    assert.equal(sources.exitCode, 0, sources.stdout + sources.stderr);
    const script = await job.run("build_script", `cd ${tree}; ls -n -d .git; git --version || echo no Git here`);
    assert.match(script.stdout, /^drwx\S+ \d+ 0 0 .* \.git$/m);
    assert.match(script.stdout, /^no Git here$/m);
  });
});

describe("image_allowlist", () => {
  // An image that is allowed is looked for, and is not on this machine: then it was not the list that refused it.
  const allowed = /is not on this machine/;
  const refusal = /is not among those that this runner allows/;
  const cases: [list: string[], image: string, allows: boolean][] = [
    [["^docker\\.io/library/x$"], "x", true],
    [["^docker\\.io/library/x$"], "library/x", true],
    [["^docker\\.io/library/x$"], "docker.io/x", true],
    [["^docker\\.io/library/x$"], "docker.io/library/x", true],
    [["^docker\\.io/library/x$"], "index.docker.io/library/x:latest", true],
    [["^docker\\.io/library/x:1$"], "x:1", true],
    [["^docker\\.io/library/x:1$"], "x:2", false],
    [["^docker\\.io/library/x$"], "y/x", false],
    [["^docker\\.io/library/x$"], "r.example/library/x", false],
    [["^x$"], "docker.io/library/x", true],
    [["^x$"], "docker.io/x", true],
    [["^x$"], "library/x:latest", true],
    [["^x$"], "r.example/x", false],
    [["^library/x(:.*)?$"], "x:3", true],
    [["^docker\\.io/x$"], "library/x", true],
    [["^a$", "^r\\.example/group/.*$"], "r.example/group/app:1", true],
    [["^r\\.example/group/.*$"], "r.example/groups/app:1", false],
    [["r\\.example/group/"], "evil.example/r.example/group/x", true], // not anchored: the administrator's choice
    [[], "x", false],
  ];
  for (const [list, image, allows] of cases) {
    it(`${JSON.stringify(list)} ${allows ? "allows" : "refuses"} ${image}`, async () => {
      const { exitCode, log } = await refused(bench.job({ image, podman: { image_allowlist: list } }));
      assert.equal(exitCode, 1);
      assert.match(log, allows ? allowed : refusal);
    });
  }

  it("names in its refusal the image as it was written and in full, and what is allowed", async () => {
    const list = ["^r\\.example/a/.*$", "^docker\\.io/library/y$"];
    const { log } = await refused(bench.job({ image: "x:1", podman: { image_allowlist: list } }));
    assert.match(log, /^ERROR: The image "x:1" \(docker\.io\/library\/x:1\) is not among those .* allows$/m);
    for (const pattern of list) assert.ok(log.includes(pattern), log);
  });

  it("asks about neither default_image nor runner_image, which are the administrator's own", async () => {
    const podman = { image_allowlist: ["^nothing$"], default_image: demo, runner_image: runner };
    const log = await prepared(bench.job({ general: { force_mechanism: true }, podman }));
    assert.match(log, /image localhost\/jacamar-demo /);
  });

  it("answers at once where a backtracking engine would not come to an end", async () => {
    const image = "a".repeat(200);
    const podman = { image_allowlist: ["^(([a-z])+.)+[A-Z]([a-z])+$", "^(a+)+$x", "^(a|aa)+$b"] };
    const job = bench.job({ image, podman });
    await job.config();
    const { exitCode, durationMilliseconds, stderr } = await job.prepare();
    assert.equal(exitCode, 1);
    assert.match(stderr, refusal);
    assert.ok(durationMilliseconds < 60_000, `${durationMilliseconds} ms`);
  });
});
