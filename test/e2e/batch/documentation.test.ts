import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { samplesOf } from "../../harness/documentation.ts";
import type { Ended } from "../../harness/machine.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster, logOf, slurmIdIn } from "./cluster.ts";
import { startTry } from "./project.ts";

/** What docs/batch.md and docs/schedulers/slurm.md offer to copy, through `jacamar try`, on a real Slurm. */
describe("the documentation's jobs of Slurm", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("documentation");
  });
  after(() => cluster.close());

  const pipelines = samplesOf("docs/batch.md", "yaml");

  /** The administrator's example, but for what is another place here. */
  function configuration(): string {
    const [sample] = samplesOf("docs/schedulers/slurm.md", "toml");
    assert.ok(sample);
    const here = sample.text
      .replace('"/shared/ci"', JSON.stringify(cluster.jobs.dataDir))
      .replace("/etc/slurm/slurm.conf", cluster.slurm.configuration);
    assert.ok(here.includes(cluster.slurm.configuration));
    return `${here}\n[general.podman]\nimage_pull_policy = "never"\n`;
  }

  function start(heading: string, files: Readonly<Record<string, string>> = {}) {
    const sample = pipelines.find((each) => each.heading === heading);
    assert.ok(sample, heading);
    return startTry(cluster.jobs, {
      ".gitlab-ci.yml": sample.text.replace(/^( +image:) .*$/m, "$1 localhost/jacamar-demo"),
      "jacamar.toml": configuration(),
      ...files,
    });
  }

  function passed(ended: Ended): string {
    assert.equal(ended.exitCode, 0, logOf(ended));
    return stripVTControlCharacters(ended.stdout);
  }

  it("run on the host", async () => {
    const log = passed(await start("Slurm").done);
    assert.match(log, /^job (\d+) on jacamar-test/m);
    // A line of each of --ntasks=4.
    assert.match(log, /^\$ srun hostname\n(\S+\n)\1{3}/m);
  });

  it("run in a container", async () => {
    const log = passed(
      await start("Containers", { solve: "#!/bin/sh\n. /etc/os-release; echo in $PRETTY_NAME\n" }).done,
    );
    assert.match(log, /^in Jacamar demo image$/m);
  });

  it("get the signal for which they ask", async () => {
    const simulate = "#!/bin/sh\necho simulating\nuntil [ -e stop-now ]; do sleep 0.2; done\necho saved\n";
    const running = start("What the script finds", { simulate });
    await running.until("simulating", 60);
    // Slurm would, two minutes before the end.
    cluster.ask("scancel", "--signal=USR1", "--batch", slurmIdIn(running.stdout()));
    assert.match(passed(await running.done), /simulating\nsaved\n/);
  });

  it("share an allocation, and give it back", async () => {
    const log = passed(await start("Sharing an allocation").done);
    assert.equal(log.split("the shared allocation").length > 4, true);
    assert.match(log, /Gave the shared allocation "ci-build-\d+" back/);
    assert.deepEqual(cluster.queue(), []);
  });
});
