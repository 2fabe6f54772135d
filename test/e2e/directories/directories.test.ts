import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { otherUser } from "../../harness/machine.ts";
import { filesBelow } from "../../harness/snapshot.ts";
import { assertOneMessage, prepareFails } from "../hostile-input/one-message.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("directories");
});
after(() => jobs.close());

const image = "localhost/jacamar-busybox";

/** Every directory from data_dir to the one given must be the user's, with the mode. */
function assertAllWith(mode: number, base: string, path: string): void {
  for (let at = path; at.length >= base.length; at = dirname(at)) {
    const status = statSync(at);
    assert.deepEqual(
      [status.uid, status.gid, (status.mode & 0o7777).toString(8)],
      [jobs.user.uid, jobs.user.gid, mode.toString(8)],
      at,
    );
  }
}

/** A job that has run one script, which left a file variable as the runner's scripts do. */
async function ran(job: AnyJob): Promise<AnyJob> {
  await job.ready();
  const project = `${job.answer.builds_dir}/${job.slug}`;
  const run = await job.run(
    "build_script",
    `mkdir -p '${project}' '${project}.tmp'; echo secret > '${project}.tmp/FILE'; : > '${project}/made'`,
  );
  assert.equal(run.exitCode, 0, logOf(run));
  return job;
}

describe("a job's directories", () => {
  for (const [where, wanted] of [
    ["on the host", {}],
    ["in a container", { image }],
  ] as const) {
    it(`lie where the documentation says, are the user's, and are closed to everybody else (${where})`, async () => {
      const job = await ran(jobs.job({ ...wanted, slot: 7 }));
      const { dataDir } = jobs;
      assert.equal(job.answer.builds_dir, `${dataDir}/builds/tEsT-runN/007`);
      assert.equal(job.answer.cache_dir, `${dataDir}/cache`);
      const scripts = `${dataDir}/scripts/tEsT-runN/007/group/demo/${job.id}`;
      for (const path of [job.answer.builds_dir, `${dataDir}/cache/group/demo`, scripts, `${scripts}.private`]) {
        assertAllWith(0o700, dataDir, path);
      }
      const files = filesBelow(scripts).map((path) => path.slice(scripts.length + 1));
      for (const name of ["build_script.bash", ...("image" in wanted ? ["auth.json"] : [])]) {
        assert.ok(files.includes(name), files.join(" "));
      }
      for (const path of filesBelow(scripts)) {
        // The container's own umask made it, and there is no secret in it.
        if (!/\.(?:status|began)$/.test(path)) assert.equal(statSync(path).mode & 0o077, 0, path);
      }

      await job.cleanup();
      assert.deepEqual(filesBelow(dirname(scripts)), []);
      assert.ok(!existsSync(`${job.answer.builds_dir}/group/demo.tmp`));
      assert.ok(existsSync(`${job.answer.builds_dir}/group/demo/made`), "the work tree stays");
    });

    it(`stay with retain_logs, but never the credentials (${where})`, async () => {
      const job = await ran(jobs.job({ ...wanted, general: "retain_logs = true" }));
      const scripts = job.directoryOf("scriptsDir");
      await job.cleanup();
      const files = filesBelow(dirname(scripts)).map((path) => path.slice(scripts.length + 1));
      assert.ok(files.includes("build_script.bash"), files.join(" "));
      assert.ok(!files.includes("auth.json"));
      assert.ok(!existsSync(`${scripts}.private`));
      assert.ok(!existsSync(`${job.answer.builds_dir}/group/demo.tmp`));
      rmSync(scripts, { recursive: true });
    });
  }

  it("are open to the group with group_permissions, and are closed again without", async () => {
    const job = await ran(jobs.job({ image, general: "group_permissions = true", slot: 8 }));
    for (const name of ["buildsDir", "projectCacheDir", "scriptsDir", "privateDir"]) {
      assertAllWith(0o750, jobs.dataDir, job.directoryOf(name));
    }
    // What lies in there is not for the group all the same.
    assert.equal(statSync(`${job.directoryOf("scriptsDir")}/auth.json`).mode & 0o7777, 0o600);
    const project = `${job.answer.builds_dir}/${job.slug}`;
    assertAllWith(0o750, jobs.dataDir, dirname(project));
    assert.deepEqual(filesBelow(`${project}.tmp`), [`${project}.tmp/FILE`]);
    assertAllWith(0o700, `${project}.tmp`, `${project}.tmp`);
    await job.cleanup();
    const next = await ran(jobs.job({ image, slot: 8 }));
    for (const name of ["buildsDir", "projectCacheDir", "scriptsDir", "privateDir"]) {
      assertAllWith(0o700, jobs.dataDir, next.directoryOf(name));
    }
    await next.cleanup();
  });

  for (const home of ["$HOME", "~"]) {
    it(`are in the home of the account for a data_dir that starts with ${home}`, async () => {
      const job = jobs.job({ dataDir: `${home}/${basename(jobs.dataDir)}` });
      await job.ready();
      assert.equal(job.answer.cache_dir, `${jobs.dataDir}/cache`);
      await job.cleanup();
    });
  }

  it("are each user's own below a data_dir outside the home", async () => {
    const place = join(jobs.directory, "shared");
    mkdirSync(place);
    chmodSync(place, 0o1777);
    const job = await ran(jobs.job({ dataDir: place }));
    assert.equal(job.answer.builds_dir, `${place}/${jobs.user.name}/builds/tEsT-runN/000`);
    assertAllWith(0o700, `${place}/${jobs.user.name}`, job.answer.builds_dir);
    await job.cleanup();
  });

  it("with a link of the user's in place of builds lead to where it points", async () => {
    const large = mkdtempSync("/var/tmp/jacamar-e2e-large-");
    jobs.give(large);
    try {
      const place = join(jobs.directory, "linked");
      mkdirSync(join(place, jobs.user.name), { recursive: true });
      chmodSync(join(place, jobs.user.name), 0o700);
      jobs.give(join(place, jobs.user.name));
      const made = await jobs.asUser(["ln", "-s", large, join(place, jobs.user.name, "builds")]);
      assert.equal(made.exitCode, 0, made.stderr);
      chmodSync(place, 0o755);
      // The way to it is the test's own directory, which is the user's.
      const job = await ran(jobs.job({ dataDir: place, image }));
      assert.ok(existsSync(join(large, "tEsT-runN/000/group/demo/made")));
      await job.cleanup();
      assert.ok(!existsSync(join(large, "tEsT-runN/000/group/demo.tmp")));
    } finally {
      rmSync(large, { recursive: true, force: true });
    }
  });
});

describe("CUSTOM_CI_BUILDS_DIR", () => {
  const general = "custom_build_dir = true";

  it("moves the work trees, and nothing else", async () => {
    for (const wanted of [{}, { image }]) {
      const own = join(jobs.directory, "own builds");
      const job = await ran(jobs.job({ ...wanted, general, variables: { CUSTOM_CI_BUILDS_DIR: own }, slot: 3 }));
      assert.equal(job.answer.builds_dir, `${own}/tEsT-runN/003`);
      assert.equal(job.answer.cache_dir, `${jobs.dataDir}/cache`);
      assertAllWith(0o700, own, job.answer.builds_dir);
      assert.ok(existsSync(`${own}/tEsT-runN/003/group/demo/made`));
      await job.cleanup();
      assert.ok(!existsSync(`${own}/tEsT-runN/003/group/demo.tmp`));
    }
  });

  it("may start with the home", async () => {
    const job = jobs.job({ general, variables: { CUSTOM_CI_BUILDS_DIR: `$HOME/${basename(jobs.dataDir)}/mine` } });
    await job.ready();
    assert.equal(job.answer.builds_dir, `${jobs.dataDir}/mine/tEsT-runN/000`);
    await job.cleanup();
  });

  it("is nothing where the administrator has not allowed it, and not needed where he has", async () => {
    const without = jobs.job({ variables: { CUSTOM_CI_BUILDS_DIR: join(jobs.directory, "no") } });
    await without.ready();
    assert.equal(without.answer.builds_dir, `${jobs.dataDir}/builds/tEsT-runN/000`);
    const unset = jobs.job({ general });
    await unset.ready();
    assert.equal(unset.answer.builds_dir, `${jobs.dataDir}/builds/tEsT-runN/000`);
    assert.ok(!existsSync(join(jobs.directory, "no")));
  });

  const bad: Readonly<Record<string, RegExp>> = {
    "": /^ERROR: The variable CUSTOM_CI_BUILDS_DIR is set, but empty\n {2}Give CUSTOM_CI_BUILDS_DIR an absolute path, or remove it\.\n$/,
    "  ": /is set, but empty\n/,
    "relative/path": /holds "relative\/path", which cannot be a builds directory\n/,
    "~other/builds": /cannot be a builds directory\n/,
    "/tmp/../etc": /cannot be a builds directory\n/,
    "/tmp/a:b": /cannot be a builds directory\n/,
    "/tmp/a\n/etc": /cannot be a builds directory\n/,
  };
  for (const [value, message] of Object.entries(bad)) {
    it(`${JSON.stringify(value)} is the job's mistake, and the runner gets no answer that it could take for one`, async () => {
      const config = await jobs.job({ general, variables: { CUSTOM_CI_BUILDS_DIR: value } }).config();
      assertOneMessage(config, "job", message);
      assert.equal(config.stdout, "");
    });
  }

  const other = otherUser();
  it("of somebody else is refused", { skip: other === undefined && "only root can act as two users" }, async () => {
    const theirs = mkdtempSync("/var/tmp/jacamar-e2e-theirs-");
    chownSync(theirs, other?.uid ?? 0, other?.gid ?? 0);
    try {
      for (const mode of [0o700, 0o777]) {
        chmodSync(theirs, mode);
        const job = jobs.job({ general, variables: { CUSTOM_CI_BUILDS_DIR: theirs } });
        assertOneMessage(await prepareFails(job), "job", /^ERROR: CUSTOM_CI_BUILDS_DIR cannot be used: The directory /);
        assert.deepEqual(filesBelow(theirs), mode === 0o777 ? [] : filesBelow(theirs));
        assert.equal(statSync(theirs).mode & 0o7777, mode);
      }
      const etc = jobs.job({ general, variables: { CUSTOM_CI_BUILDS_DIR: "/etc" } });
      assertOneMessage(await prepareFails(etc), "job", /^ERROR: CUSTOM_CI_BUILDS_DIR cannot be used: /);
    } finally {
      rmSync(theirs, { recursive: true });
    }
  });
});
