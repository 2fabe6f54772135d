import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { capture } from "../../process/capture.ts";
import { schedulerVariables } from "./scheduler-variables.ts";

async function optionsWith(environment: Readonly<Record<string, string>>, before: readonly string[] = ["run", "--rm"]) {
  const script = `set -u; options=("$@")\n${schedulerVariables}\nprintf '%s\\0' "\${options[@]}"`;
  const said = await capture(
    {
      argv: ["/bin/bash", "--noprofile", "--norc", "-c", script, "job", ...before],
      environment,
      workingDirectory: "/",
    },
    { timeoutSeconds: 20 },
  );
  assert.equal(said.stderr, "");
  return said.stdout.split("\0").slice(0, -1);
}

describe("schedulerVariables", () => {
  test("adds the names of the scheduler's variables, never a value", async () => {
    const options = await optionsWith({
      SLURM_JOB_ID: "7",
      SLURMD_NODENAME: "n",
      SBATCH_X: "1",
      FLUX_URI: "local:///secret",
      PBS_JOBID: "1",
      LSB_JOBID: "2",
      LSF_ENVDIR: "/e",
      PMI_RANK: "0",
      PMIX_RANK: "0",
      HOME: "/h",
      MY_SLURM_JOB_ID: "no",
      PMI_FD: "9",
    });
    const names = ["SLURM_JOB_ID", "SLURMD_NODENAME", "SBATCH_X", "FLUX_URI", "PBS_JOBID", "LSB_JOBID", "LSF_ENVDIR"];
    assert.deepEqual(options, [
      "run",
      ...[...names, "PMI_RANK", "PMIX_RANK"].flatMap((name) => ["--env", name]),
      "--rm",
    ]);
  });

  test("leaves the options as they are without a scheduler, whatever is in them", async () => {
    const before = ["run", "--volume", "/a b:/c", "--label=x\ny", ""];
    assert.deepEqual(await optionsWith({}, before), before);
  });

  test("comes before the administrator's options, which win", async () => {
    const options = await optionsWith({ SLURM_CONF: "/x" }, ["run", "--env=SLURM_CONF=/y"]);
    assert.deepEqual(options, ["run", "--env", "SLURM_CONF", "--env=SLURM_CONF=/y"]);
  });
});
