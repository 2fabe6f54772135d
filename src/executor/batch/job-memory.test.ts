import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../../process/capture.ts";
import { flux } from "./flux.ts";
import { jobMemory } from "./job-memory.ts";
import { lsf } from "./lsf.ts";
import { pbs } from "./pbs.ts";
import { slurm } from "./slurm.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-job-memory-"));
after(() => rmSync(directory, { recursive: true }));

let count = 0;

/** What a job says whose shell is in these control groups, on a node with these files below /sys/fs/cgroup. */
async function told(
  mark: string,
  groups: string,
  files: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  count += 1;
  const root = join(directory, String(count));
  for (const [name, text] of Object.entries({ "proc/self/cgroup": groups, ...below(files) })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const script = `memory_root=${root}\n${jobMemory}\nci_memory_of "${mark}"; exit 0`;
  const argv = ["/bin/bash", "-c", script] as const;
  const said = await capture({ argv, environment, workingDirectory: "/" }, { timeoutSeconds: 20 });
  assert.equal(said.stderr, "");
  return said.stdout;
}

function below(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`sys/fs/cgroup/${name}`, text]));
}

/** The files of a group of either version. */
const v2 = (group: string, peak: string, limit: string) => ({
  [`${group}/memory.peak`]: `${peak}\n`,
  [`${group}/memory.max`]: `${limit}\n`,
});
const v1 = (group: string, peak: string, limit: string) => ({
  [`memory/${group}/memory.max_usage_in_bytes`]: `${peak}\n`,
  [`memory/${group}/memory.limit_in_bytes`]: `${limit}\n`,
});

const scope = "system.slice/slurmstepd.scope";

describe("ci_memory_of, in a job's own control group", () => {
  for (const [what, mark, groups, files, environment, expected] of [
    [
      "Slurm, all steps of the job",
      slurm.memoryGroup,
      `0::/${scope}/job_5/step_batch/user/task_0\n`,
      { ...v2(`${scope}/job_5`, "300", "max"), ...v2(`${scope}/job_5/step_batch`, "100", "max") },
      { SLURM_JOB_ID: "5" },
      "300 max\n",
    ],
    [
      "Slurm with the first version",
      slurm.memoryGroup,
      "9:name=systemd:/x\n4:memory:/slurm/uid_1/job_5/step_batch/task_0\n3:cpuset:/slurm/uid_1/job_5\n0::/\n",
      v1("slurm/uid_1/job_5", "300", "2147483648"),
      { SLURM_JOB_ID: "5" },
      "300 2147483648\n",
    ],
    [
      "a step of Slurm, without the others of its allocation",
      slurm.steps?.memoryGroup,
      `0::/${scope}/job_5/step_2/user/task_0\n`,
      { ...v2(`${scope}/job_5`, "300", "max"), ...v2(`${scope}/job_5/step_2`, "100", "1000") },
      { SLURM_JOB_ID: "5", SLURM_STEP_ID: "2" },
      "100 1000\n",
    ],
    [
      "PBS",
      pbs.memoryGroup,
      "4:memory:/pbs_jobs.service/jobid/12.server\n",
      v1("pbs_jobs.service/jobid/12.server", "7", "8"),
      { PBS_JOBID: "12.server" },
      "7 8\n",
    ],
    [
      "LSF",
      lsf.memoryGroup,
      "0::/lsf/cluster1/job.12.4711.1700000000/x\n",
      v2("lsf/cluster1/job.12.4711.1700000000", "7", "8"),
      { LSB_JOBID: "12" },
      "7 8\n",
    ],
    [
      "Flux with systemd",
      flux.memoryGroup,
      "0::/system.slice/imp-shell-0-fA2b.service/x\n",
      v2("system.slice/imp-shell-0-fA2b.service", "7", "max"),
      {},
      "7 max\n",
    ],
  ] as const) {
    test(`tells of ${what}`, async () => {
      assert.ok(mark);
      assert.equal(await told(mark, groups, files, environment), expected);
    });
  }

  for (const [what, mark, groups, files, environment] of [
    [
      "slurmd's group",
      slurm.memoryGroup,
      "0::/system.slice/slurmd.service\n",
      v2("system.slice/slurmd.service", "7", "8"),
      { SLURM_JOB_ID: "5" },
    ],
    [
      "another job's group",
      slurm.memoryGroup,
      `0::/${scope}/job_6/x\n`,
      { ...v2(`${scope}/job_6`, "7", "8"), ...v2(`${scope}/job_5`, "7", "8") },
      { SLURM_JOB_ID: "5" },
    ],
    [
      "a job's group whose number only begins so",
      slurm.memoryGroup,
      `0::/${scope}/job_55\n`,
      v2(`${scope}/job_55`, "7", "8"),
      { SLURM_JOB_ID: "5" },
    ],
    [
      "a step's group whose number is not known",
      slurm.steps?.memoryGroup,
      `0::/${scope}/job_5/step_batch/user\n`,
      v2(`${scope}/job_5/step_batch`, "7", "8"),
      { SLURM_JOB_ID: "5" },
    ],
    [
      "a group without a number in the environment",
      slurm.memoryGroup,
      `0::/${scope}/job_/x\n`,
      v2(`${scope}/job_`, "7", "8"),
      {},
    ],
    [
      "the root, where PBS gives no number",
      pbs.memoryGroup,
      "0::/\n",
      { "memory.peak": "7\n", "memory.max": "8\n" },
      {},
    ],
    ["a group where memory is not counted", slurm.memoryGroup, `0::/${scope}/job_5\n`, {}, { SLURM_JOB_ID: "5" }],
    [
      "the second version's group where the first counts memory",
      slurm.memoryGroup,
      `4:memory:/\n0::/${scope}/job_5\n`,
      v2(`${scope}/job_5`, "7", "8"),
      { SLURM_JOB_ID: "5" },
    ],
    [
      "a group that counts nothing of its children",
      slurm.memoryGroup,
      "4:memory:/slurm/job_5/step_batch\n",
      v1("slurm/job_5", "0", "8"),
      { SLURM_JOB_ID: "5" },
    ],
    ["a node without control groups", slurm.memoryGroup, "", {}, { SLURM_JOB_ID: "5" }],
  ] as const) {
    test(`says nothing of ${what}`, async () => {
      assert.ok(mark);
      assert.equal(await told(mark, groups, files, environment), "");
    });
  }
});

test("a step of Flux has no group of its own", () => {
  assert.ok(flux.steps);
  assert.equal(flux.steps.memoryGroup, undefined);
});
