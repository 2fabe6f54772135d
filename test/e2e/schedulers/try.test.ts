import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { samplesOf } from "../../harness/documentation.ts";
import type { StandInKind } from "../../harness/schedulers.ts";
import { startTry } from "../batch/project.ts";
import { logOf } from "../stopping/jobs.ts";
import { PlayedCluster } from "./played-cluster.ts";

/** A second job beside the documentation's: in a container, with what the first one has left. */
const further = `
show:
  needs: [solve]
  image: localhost/jacamar-demo
  script:
    - . /etc/os-release; echo "in $PRETTY_NAME"
    - cat left
`;

/** The programs that start tasks in a job are not played. */
const launchers = /\b(?:srun|flux run --ntasks=4) (?=hostname$)/m;

for (const kind of ["slurm", "flux", "pbs", "lsf"] satisfies StandInKind[]) {
  describe(`jacamar try with the executor ${kind}`, () => {
    let cluster: PlayedCluster;
    before(async () => {
      cluster = await PlayedCluster.open(kind, "try");
    });
    after(() => cluster.close());

    it("runs the job of docs/batch.md with the configuration of the scheduler's own page", async () => {
      const { dialect, jobs, standIn } = cluster;
      const page = `docs/schedulers/${kind}.md`;
      const [configuration] = samplesOf(page, "toml");
      const sample = samplesOf("docs/batch.md", "yaml").find(({ heading }) => heading === dialect.title);
      assert.ok(configuration && sample, page);
      const here = configuration.text
        .replace('"/shared/ci"', JSON.stringify(jobs.dataDir))
        .replace(/^scheduler_bin = .*$/m, `scheduler_bin = ${JSON.stringify(standIn.bin)}`);
      assert.ok(here.includes(standIn.bin) && here.includes(jobs.dataDir), page);
      const solve = sample.text.replace(launchers, "").trimEnd();
      const ended = await startTry(jobs, {
        ".gitlab-ci.yml": `${solve}\n    - echo left by solve >left\n  artifacts:\n    paths: [left]\n${further}`,
        "jacamar.toml": `${here}\n[general.podman]\nimage_pull_policy = "never"\n`,
      }).done;
      assert.equal(ended.exitCode, 0, logOf(ended));
      const log = stripVTControlCharacters(ended.stdout);
      assert.equal(log.split(`Submitted as ${dialect.title} job`).length, 3, log);
      assert.match(log, /^in Jacamar demo image$/m);
      assert.match(log, /^left by solve$/m);
      assert.deepEqual(await cluster.queue(), []);
    });
  });
}
