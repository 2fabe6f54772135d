import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";
import { tracesAfter } from "../stopping/traces.ts";
import { assertNoInside, assertOneMessage } from "./one-message.ts";

let jobs: Jobs;
/** The user's own file outside of the job, which nothing may write to or read from. */
let precious = "";
before(() => {
  jobs = new Jobs("planted");
  mkdirSync(join(jobs.directory, "outside"));
  precious = join(jobs.directory, "outside", "precious");
  writeFileSync(precious, "precious\n");
  for (const path of [join(jobs.directory, "outside"), precious]) {
    chmodSync(path, path === precious ? 0o600 : 0o700);
    jobs.give(path);
  }
});
after(() => jobs.close());

const image = "localhost/jacamar-demo";
const files = ["after_script.bash", "after_script.bash.generated", "after_script.bash.status", "auth.json"];

/** What a script in a container leaves for the next stage, at each name of a file that the driver writes there. */
const plants: Readonly<Record<string, (file: string) => string>> = {
  "a symbolic link": (file) => `rm -f "${file}"; ln -s "${precious}" "${file}"`,
  "a symbolic link to a directory": (file) => `rm -f "${file}"; ln -s /etc "${file}"`,
  "nothing at all": (file) => `rm -f "${file}"`,
  "a link that leads nowhere": (file) => `rm -f "${file}"; ln -s "${precious}.new" "${file}"`,
  "a pipe": (file) => `rm -f "${file}"; mknod "${file}" p || busybox mkfifo "${file}"`,
  "a directory": (file) => `rm -f "${file}"; mkdir -p "${file}/with/more"; : > "${file}/with/more/in-it"`,
  "a file that cannot be written": (file) => `rm -f "${file}"; echo planted > "${file}"; chmod 0 "${file}"`,
  "a file of another user of the container": (file) =>
    `rm -f "${file}"; echo planted > "${file}"; chown 1000:1000 "${file}"; chmod 0 "${file}"`,
};

function assertPreciousUntouched(): void {
  assert.equal(readFileSync(precious, "utf8"), "precious\n");
  assert.equal(statSync(precious).mode & 0o7777, 0o600);
  assert.ok(!existsSync(`${precious}.new`));
}

async function ready(): Promise<{ job: AnyJob; scripts: string }> {
  const job = jobs.job({ image });
  await job.ready();
  return { job, scripts: job.directoryOf("scriptsDir") };
}

async function assertCleanedUp(job: AnyJob): Promise<void> {
  const cleanup = await job.cleanup();
  assert.equal(cleanup.exitCode, 0, logOf(cleanup));
  assertNoInside(cleanup);
  assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
}

describe("a script in a container that plants in place of the next stage's files", () => {
  for (const [what, plant] of Object.entries(plants)) {
    // A pipe needs a program for it.
    it(`${what}: the next stage runs its own script, and touches nothing outside`, async () => {
      const job = jobs.job({ image: what === "a pipe" ? "localhost/jacamar-busybox" : image });
      await job.ready();
      const scripts = job.directoryOf("scriptsDir");
      const planting = files
        .map((file) => plant(`${scripts}/${file}`).replace(" || busybox mkfifo", " || mkfifo"))
        .join("\n");
      const first = await job.run("build_script", planting);
      assert.equal(first.exitCode, 0, logOf(first));

      const next = await job.run("after_script", "echo the real one; exit 4");
      assertPreciousUntouched();
      assert.equal(next.exitCode, 1, logOf(next));
      assert.equal(job.buildExitCode(), "4\n");
      assert.equal(next.stdout, "the real one\n");
      assertNoInside(next);
      await assertCleanedUp(job);
      assertPreciousUntouched();
    });
  }
});

describe("the names of a job's services", () => {
  it("look like no line of the driver's", async () => {
    const services = [
      { name: "redis\nThe image is found on this machine: id 000000000000" },
      { name: "\u202egnp.exe" },
    ];
    const job = jobs.job({ image, response: { services } });
    const log = await job.ready();
    const [line] = /^WARNING: services .*$/m.exec(log) ?? [];
    const names = "redis\\x0aThe image is found on this machine: id 000000000000, \\u202egnp.exe";
    assert.equal(line, `WARNING: services are not supported by this runner, and are not started: ${names}`);
    await job.cleanup();
  });
});

describe("a script in a container cannot", () => {
  it("choose the image, the command or the result of the next stage by what it writes", async () => {
    const { job, scripts } = await ready();
    const first = await job.run(
      "build_script",
      `cd "${scripts}"; ls -a > /tmp/names
      echo '{"auths":{"registry.example.com":{"auth":"eDp5"}}}' > auth.json
      echo '{"userImage":{"id":"localhost/jacamar-busybox","hasBash":false,"user":""}}' > prepared.json
      for name in after_script.bash after_script.bash.generated; do echo 'echo planted; exit 0' > $name; chmod 755 $name; done
      echo 0 > after_script.bash.status
      (while :; do echo 0 > after_script.bash.status; echo 'echo planted' > after_script.bash; done) &
      grep -c prepared /tmp/names || true`,
    );
    assert.equal(first.exitCode, 0, logOf(first));
    // The driver's own knowledge of the job is not among the scripts.
    assert.equal(first.stdout, "0\n");
    const next = await job.run("after_script", "test -x /bin/bash && echo the real one; exit 5");
    assert.equal(next.stdout, "the real one\n", logOf(next));
    assert.equal(next.exitCode, 1);
    assert.equal(job.buildExitCode(), "5\n");
    await assertCleanedUp(job);
  });

  it("leave a result for a stage whose script never runs", async () => {
    // An entrypoint that after the first stage does nothing and is content.
    const entrypoint = ["/bin/sh", "-c", 'if [ -e "${0%/*}/flag" ]; then exit 0; fi; exec /bin/sh "$0"'];
    const job = jobs.job({ image: { name: image, entrypoint } });
    await job.ready();
    const scripts = job.directoryOf("scriptsDir");
    const first = await job.run("build_script", `cd "${scripts}"; echo 0 > after_script.bash.status; : > flag`);
    assert.equal(first.exitCode, 0, logOf(first));
    const next = await job.run("after_script", "echo has run");
    assertOneMessage(next, "job", /ended \(exit code 0\) without running the script\n/);
    await assertCleanedUp(job);
  });

  it("see the driver's own directory, other jobs' scripts, or the user's home", async () => {
    const { job, scripts } = await ready();
    const run = await job.run(
      "build_script",
      `for path in "${job.directoryOf("privateDir")}" "${precious}" "${jobs.user.home}/.profile" "${job.directory}"; do
         if [ -e "$path" ]; then echo "sees $path"; fi
       done
       ls -a "$(dirname "${scripts}")" | cat`,
    );
    assert.equal(run.stdout, `.\n..\n${job.id}\n`);
    await assertCleanedUp(job);
  });

  // Whoever may choose the builds directory must not get what is kept from containers into them by it.
  const general = "custom_build_dir = true\nforce_mechanism = true";
  const wishes: Readonly<Record<string, (link: string) => Readonly<Record<string, string>>>> = {
    "the scripts of all jobs": () => ({ CUSTOM_CI_BUILDS_DIR: `${jobs.dataDir}/scripts` }),
    "the directory of all": () => ({ CUSTOM_CI_BUILDS_DIR: jobs.dataDir, CI_RUNNER_SHORT_TOKEN: "scripts" }),
    "a link that a container has left": (link) => ({ CUSTOM_CI_BUILDS_DIR: link }),
  };
  for (const [what, wish] of Object.entries(wishes)) {
    it(`run a program on the host with ${what} as the builds directory`, async () => {
      const before = jobs.job({ image });
      await before.ready();
      const link = join(before.directoryOf("buildsDir"), "link");
      await before.run("build_script", `ln -sfn "${jobs.dataDir}/scripts" "${link}"`);
      await before.cleanup();

      const job = jobs.job({ image, general, variables: wish(link) });
      const config = await job.config();
      assert.equal(config.exitCode, 0, logOf(config));
      const prepare = await job.prepare();
      // What it would do with what it sees: choose the program that the driver starts on the host in the next stage.
      const escaped = join(jobs.directory, `escaped-${job.id}`);
      const builds = job.directoryOf("buildsDir");
      await job.run(
        "build_script",
        `printf '#!/bin/sh\\ntouch "${escaped}"\\n' > "${builds}/podman"; chmod 755 "${builds}/podman"
        find "${builds}/" -name prepared.json | while read -r file; do
          sed -i 's|"PATH":"|"PATH":"${builds}:|' "$file"
        done`,
      );
      await job.run("after_script", "true");
      await job.cleanup();
      assert.ok(!existsSync(escaped), "a container has had a program run on the host");
      assertOneMessage(prepare, "job", /^ERROR: CUSTOM_CI_BUILDS_DIR cannot be used: containers of the job would see /);
    });
  }

  it("hinder the next stage with the mode of the scripts directory", async () => {
    const { job, scripts } = await ready();
    await job.run("build_script", `chmod 0 "${scripts}"`);
    const next = await job.run("after_script", "echo next");
    assert.equal(next.stdout, "next\n", logOf(next));
    await assertCleanedUp(job);
  });

  it("give the scripts directory to another user of the container and have it trusted then", async () => {
    const { job, scripts } = await ready();
    await job.run("build_script", `chown -R 1000:1000 "${scripts}"`);
    const next = await job.run("after_script", "echo next");
    assert.equal(next.exitCode, 2, logOf(next));
    assert.equal(next.stdout, "");
    assert.match(
      next.stderr,
      /^ERROR: The directory "[^"]+" belongs to the account number \d+, not to you\n {2}[^\n]+\n$/,
    );
    await assertCleanedUp(job);
  });

  it("make cleanup remove something outside by links in the builds directory", async () => {
    const { job } = await ready();
    const outside = join(jobs.directory, "outside");
    mkdirSync(join(outside, "demo.tmp"), { recursive: true });
    writeFileSync(join(outside, "demo.tmp", "keep"), "");
    for (const path of [join(outside, "demo.tmp"), join(outside, "demo.tmp", "keep")]) jobs.give(path);
    const run = await job.run("build_script", `cd "${job.answer.builds_dir}"; rm -rf group; ln -s "${outside}" group`);
    assert.equal(run.exitCode, 0, logOf(run));
    const cleanup = await job.cleanup();
    rmSync(join(job.answer.builds_dir, "group"));
    assertNoInside(cleanup);
    assert.ok(existsSync(join(outside, "demo.tmp", "keep")), logOf(cleanup));
    assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
  });
});

it("files that belong to another user of a container are removed with the job", async () => {
  const { job, scripts } = await ready();
  const tmp = `${job.answer.builds_dir}/group/demo.tmp`;
  const run = await job.run(
    "build_script",
    `for d in "${tmp}" "${scripts}/sub"; do mkdir -p "$d/x"; : > "$d/x/file"; chown -R 1000:1000 "$d"; chmod 700 "$d" "$d/x"; done`,
  );
  assert.equal(run.exitCode, 0, logOf(run));
  await assertCleanedUp(job);
  assert.ok(!existsSync(tmp));
});
