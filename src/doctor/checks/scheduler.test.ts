import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Stands for Slurm's programs, and answers as its own do (facts/schedulers.md). */
const slurm = (
  ping: string,
) => `mkdir $work/bin; for name in sbatch squeue scontrol scancel; do cat > $work/bin/$name <<'END'
#!/bin/sh
[ "$1" = ping ] || exit 0
${ping}
END
chmod 755 $work/bin/$name; done`;
const options = { executor: "slurm", configuration: '[batch]\nscheduler_bin = "WORK/bin"' };

describe("the check scheduler", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("sched");
  });
  after(() => bench.close());

  test("has nothing to look at with the executor shell", async () => {
    assert.equal((await bench.look("scheduler")).kind, "skipped");
  });

  test("takes an answer for one", async () => {
    const { kind, text } = await bench.look("scheduler", slurm('echo "Slurmctld(primary) at host is UP"'), options);
    assert.deepEqual([kind, text], ["ok", "Slurm answers; containers run on its nodes: look there, too"]);
  });

  test("finds that its programs are missing", async () => {
    const { findings } = await bench.look(
      "scheduler",
      `${slurm("true")}; rm $work/bin/squeue $work/bin/scancel`,
      options,
    );
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["scheduler-missing"],
    );
    assert.match(findings[0]?.text ?? "", /^Slurm has no squeue, scancel in /);
  });

  test("tells what it says when it does not answer", async () => {
    const down = await bench.look("scheduler", slurm('echo "Slurmctld(primary) at host is DOWN"'), options);
    assert.deepEqual(
      down.findings.map(({ name, text, command }) => [name, text, command]),
      [
        [
          "scheduler-silent",
          "Slurm does not answer (scontrol ping): Slurmctld(primary) at host is DOWN",
          "scontrol ping",
        ],
      ],
    );
    const refused = await bench.look(
      "scheduler",
      slurm("echo 'slurm_load_ctl_conf error: Unable to contact slurm controller' >&2; exit 1"),
      options,
    );
    assert.match(refused.findings[0]?.text ?? "", /Unable to contact slurm controller$/);
  });
});
