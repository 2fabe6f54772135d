import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster, logOf } from "./cluster.ts";

/** Slurm grants the node's four GPUs, which it only believes in; their device files are made up, below a root of their own. */
describe("the GPUs that Slurm has granted to a job", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  let root = "";
  before(() => {
    cluster = new Cluster("gpus");
    root = mkdtempSync("/var/tmp/jacamar-e2e-gpus-");
    chmodSync(root, 0o755);
    mkdirSync(join(root, "dev"));
    for (const name of ["nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl"]) {
      execFileSync("mknod", ["--mode=0666", join(root, "dev", name), "c", "1", "3"]);
    }
  });
  after(async () => {
    await cluster.close();
    rmSync(root, { recursive: true });
  });

  async function jobWith(parameters: string, podman = "") {
    const job = cluster.jobs.job({
      executor: "slurm",
      image: "localhost/jacamar-busybox",
      podman,
      batch: cluster.slurm.envVars.replace("]", `, "gpu_root=${root}"]`),
      variables: { SCHEDULER_PARAMETERS: parameters },
    });
    await job.ready();
    return job;
  }

  const show = (wait = "true") =>
    `echo "granted $SLURM_JOB_GPUS"; { ls ${root}/dev 2>/dev/null || true; } | tr '\\n' ' '; ${wait}`;

  it("are in its container, and no others; at the same time another job has others", async () => {
    const jobs = await Promise.all([jobWith("--gres=gpu:2"), jobWith("--gres=gpu:1")]);
    const runs = await Promise.all(jobs.map((job) => job.run("build_script", show("sleep 2"))));
    const seen = runs.map((run) => {
      assert.equal(run.exitCode, 0, logOf(run));
      const numbers = /^granted ([0-9,]+)$/m.exec(run.stdout)?.[1]?.split(",") ?? [];
      const files = numbers.map((number) => `nvidia${number}`);
      assert.match(run.stdout, new RegExp(`^${[...files, "nvidiactl"].join(" +")} *$`, "m"), run.stdout);
      const paths = [...files, "nvidiactl"].map((name) => join(root, "dev", name));
      assert.match(run.stdout, new RegExp(`^The container gets the GPUs that were granted: ${paths.join(" ")}$`, "m"));
      return files;
    });
    assert.deepEqual([seen[0]?.length, seen[1]?.length], [2, 1]);
    assert.equal(new Set(seen.flat()).size, 3);
  });

  it("go by their CDI names where the node has a specification", async () => {
    const names = ["0", "1", "2", "3"].map((name) => ({ name, ...node(`/dev/nvidia${name}`) }));
    const all = {
      name: "all",
      containerEdits: { deviceNodes: names.flatMap((each) => each.containerEdits.deviceNodes) },
    };
    mkdirSync(join(root, "etc/cdi"), { recursive: true });
    const specification = { cdiVersion: "0.5.0", kind: "nvidia.com/gpu", devices: [...names, all] };
    writeFileSync(join(root, "etc/cdi/nvidia.json"), JSON.stringify(specification));
    // This machine's Podman knows of no such device, so it is told of none.
    const told = cluster.jobs.write("told", "");
    const program = cluster.jobs.write(
      "podman",
      `#!/bin/bash
given=()
while [ $# -gt 0 ]; do
  case $1:\${2-} in --device:nvidia.com/*) echo "$2" >>${told}; shift 2 ;; *) given+=("$1"); shift ;; esac
done
exec podman "\${given[@]}"
`,
      0o700,
    );
    try {
      const job = await jobWith("--gres=gpu:2", `application_path = ${JSON.stringify(program)}`);
      const run = await job.run("build_script", show());
      assert.equal(run.exitCode, 0, logOf(run));
      const granted = /^granted ([0-9,]+)$/m
        .exec(run.stdout)?.[1]
        ?.split(",")
        .map((each) => `nvidia.com/gpu=${each}`);
      assert.equal(granted?.length, 2);
      assert.ok(
        run.stdout.includes(`The container gets the GPUs that were granted: ${granted.join(" ")}\n`),
        run.stdout,
      );
      assert.deepEqual(readFileSync(told, "utf8").trim().split("\n"), granted);
      assert.doesNotMatch(run.stdout, /nvidiactl/);
    } finally {
      rmSync(join(root, "etc"), { recursive: true });
    }
  });

  function node(path: string) {
    return { containerEdits: { deviceNodes: [{ path }] } };
  }

  it("are none where it asked for none, or where the administrator's options say which", async () => {
    for (const [parameters, podman] of [
      ["", ""],
      ["--gres=gpu:1", 'custom_options = ["--env=NVIDIA_VISIBLE_DEVICES=none"]'],
    ] as const) {
      const job = await jobWith(parameters, podman);
      const run = await job.run("build_script", show());
      assert.equal(run.exitCode, 0, logOf(run));
      assert.doesNotMatch(run.stdout, /GPUs that were granted|nvidia/, logOf(run));
    }
  });
});
