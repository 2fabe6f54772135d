import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Jobs, logOf } from "../stopping/jobs.ts";
import { assertOneMessage, prepareFails } from "./one-message.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("volumes");
});
after(() => jobs.close());

const wanted = { image: "localhost/jacamar-busybox", podman: 'user_volume_variable = "PODMAN_VOLUMES"' };

const refused: readonly (readonly [value: string, why: RegExp])[] = [
  ["/etc/../root:/x", /its source "\/etc\/\.\.\/root" has a part "\." or "\.\."/],
  ["/etc:/x/../../y", /its target .* has a part/],
  ["/no/such/directory:/x", /its source "\/no\/such\/directory" does not exist/],
  ["/etc:/x:suid", /its option "suid" is not allowed/],
  ["/etc:/x:ro,dev", /its option "dev" is not allowed/],
  ["/etc:/x:ro,idmap=uids=0-1-10", /its option "idmap=uids=0-1-10" is not allowed/],
  ["/etc:/x:ro,upperdir=/", /its option "upperdir=\/" is not allowed/],
  ["/etc:/x:", /its option "" is not allowed/],
  ["etc:/x", /its source "etc" is not an absolute path/],
  ["/etc:x", /its target "x" is not an absolute path/],
  ["/etc", /no colon/],
  [":/x", /no source/],
  ["/etc:", /no target/],
  ["", /it is empty/],
  ["/etc:/x:ro:/y", /more than two colons/],
  ["/etc:/", /its target "\/" is the system's/],
  ["/etc:/proc/sys", /is the system's/],
  ["/etc\n--privileged:/x", /its source has a line break/],
  ["--privileged", /no colon/],
  ["--privileged:/x", /is not an absolute path/],
  ["$HOME:/x", /its source "\$HOME" is not an absolute path/],
  [`/${"x".repeat(5000)}:/x`, /its source has 5001 characters/],
];

describe("a volume variable that cannot be used stops the job before anything runs:", () => {
  for (const [value, why] of refused) {
    it(JSON.stringify(value.slice(0, 40)), async () => {
      const job = jobs.job({ ...wanted, variables: { PODMAN_VOLUMES_7: value } });
      const prepare = await prepareFails(job);
      assertOneMessage(prepare, "job", /^ERROR: The volume variable PODMAN_VOLUMES_7 cannot be used: /);
      assert.match(prepare.stderr, why);
      assert.equal(prepare.stdout, "");
    });
  }

  it("a thousand of them", async () => {
    const variables = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`PODMAN_VOLUMES_${index}`, `/etc:/volume/${index}`]),
    );
    const prepare = await prepareFails(jobs.job({ ...wanted, variables }));
    assertOneMessage(
      prepare,
      "job",
      /^ERROR: The job has 1000 volume variables \(PODMAN_VOLUMES_0, …\); at most 100 are/,
    );
  });

  it("two with one target, and one that would hide the job's own directory", async () => {
    const twice = jobs.job({ ...wanted, variables: { PODMAN_VOLUMES_1: "/etc:/x", PODMAN_VOLUMES_2: "/usr:/x/" } });
    assertOneMessage(await prepareFails(twice), "job", /PODMAN_VOLUMES_2 .* "\/x" is taken by PODMAN_VOLUMES_1/);
    const job = jobs.job({ ...wanted });
    await job.config();
    const hiding = jobs.job({ ...wanted, variables: { PODMAN_VOLUMES: `/etc:${job.directoryOf("buildsDir")}` } });
    assertOneMessage(await prepareFails(hiding), "job", /PODMAN_VOLUMES .* is taken by the job itself/);
  });
});

it("a volume's path may hold spaces, commas, quotes, dollars and unicode", async () => {
  const directory = join(jobs.directory, `a b,c 'd' "e" $(id) é`);
  mkdirSync(directory);
  writeFileSync(join(directory, "file"), "seen through a volume\n");
  for (const path of [directory, join(directory, "file")]) jobs.give(path);
  const job = jobs.job({ ...wanted, variables: { PODMAN_VOLUMES_1: `${directory}:/in side/é,$(id):ro` } });
  await job.ready();
  const run = await job.run("build_script", "cat '/in side/é,$(id)/file'; ! echo x > '/in side/é,$(id)/new'");
  assert.equal(run.exitCode, 0, logOf(run));
  assert.match(run.stdout, /^seen through a volume$/m);
});
