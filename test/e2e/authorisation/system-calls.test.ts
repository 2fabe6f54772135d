import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { testUser } from "../../harness/machine.ts";
import { slurmMissing, startSlurm } from "../../harness/slurm.ts";
import { usualCalls } from "../../harness/system-calls.ts";
import { type Door, doors, makePlace, type Place, skip } from "./support/place.ts";

const user = testUser();

/** Under how many filters the tests themselves are: in a container there is one. */
const own = Number(/^Seccomp_filters:\s(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0);

/** What a script prints of itself: the filter, and whether it can make a user namespace. */
const look =
  "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; id -un; unshare --user true && echo made || echo refused";

/** The table for `[auth]`, and what else the door asks for. Only root may load a filter while programs can gain rights. */
function seccomp(door: Door, lines: string): { auth: string; mechanism: "podman" | "none" } {
  return door === "setuid as root"
    ? { auth: `[auth.seccomp]\n${lines}`, mechanism: "podman" }
    : { auth: `no_new_privs = true\n[auth.seccomp]\n${lines}`, mechanism: "none" };
}

describe("[auth.seccomp]", { skip }, () => {
  let place: Place;
  before(async () => {
    place = await makePlace("calls");
  });
  after(() => place.remove());

  for (const door of doors) {
    const newPrivs = door === "setuid as root" ? 0 : 1;

    it(`lets a blocked call fail in a job's script and in its after_script, and all else work, by ${door}`, async () => {
      const job = place.job(door, seccomp(door, 'block_calls = ["unshare", "ptrace"]'));
      const config = await job.config();
      assert.deepEqual([config.exitCode, config.stderr], [0, ""]);
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      for (const stage of ["build_script", "after_script"]) {
        const { exitCode, stdout, stderr } = await job.run(stage, `${look}\nmkdir -p made && rm -r made`);
        assert.equal(exitCode, 0, stderr);
        assert.match(stdout, new RegExp(`^NoNewPrivs:\\s${newPrivs}\nSeccomp:\\s2\n${user.name}\nrefused\n$`));
        assert.match(stderr, /^unshare: .*: Operation not permitted\n$/);
      }
      const cleanup = await job.cleanup();
      assert.deepEqual([cleanup.exitCode, cleanup.stderr], [0, ""]);
      job.remove();
    });

    it(`allows what is named alone, by ${door}`, async () => {
      const names = (await usualCalls()).filter((name) => name !== "unshare");
      const job = place.job(door, seccomp(door, `block_all = true\nallow_calls = ${JSON.stringify(names)}`));
      const { config, prepare, run, cleanup } = await job.whole(look);
      assert.deepEqual([config.exitCode, config.stderr, prepare.exitCode], [0, "", 0], prepare.stderr);
      assert.match(run.stdout, new RegExp(`^NoNewPrivs:\\s${newPrivs}\nSeccomp:\\s2\n${user.name}\nrefused\n$`));
      assert.deepEqual([run.exitCode, cleanup.exitCode, cleanup.stderr], [0, 0, ""]);
      job.remove();
    });
  }

  it("makes no filter without being asked", async () => {
    const job = place.job("setuid as root", seccomp("setuid as root", 'block_calls = ["unshare"]\ndisabled = true'));
    const { run } = await job.whole(look);
    assert.match(run.stdout, new RegExp(`Seccomp:\\s${own === 0 ? 0 : 2}\n.*\nmade\n$`));
    job.remove();
  });

  it("holds in rootless containers, under the filter that Podman adds", async () => {
    const script = "busybox ionice -c 3 echo nicer || echo refused; grep Seccomp_filters /proc/self/status";
    const image = "localhost/jacamar-busybox:latest";
    // `ionice` makes the first of these calls.
    const blocking = seccomp("setuid as root", 'block_calls = ["ioprio_set", "io_uring_enter"]');
    for (const [lines, said] of [
      [blocking, new RegExp(`Operation not permitted[^]*^Seccomp_filters:\\s${own + 2}\r?$`, "m")],
      [{}, new RegExp(`^nicer\r?\n[^]*^Seccomp_filters:\\s${own + 1}\r?$`, "m")],
    ] as const) {
      const job = place.job("setuid as root", { image, ...lines });
      const { prepare, run, cleanup } = await job.whole(script);
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      assert.equal(run.exitCode, 0, run.stdout + run.stderr);
      assert.match(run.stdout, said);
      assert.deepEqual([cleanup.exitCode, cleanup.stderr], [0, ""]);
      job.remove();
    }
  });

  it("says why no container can start, before Podman does", async () => {
    const job = place.job("setuid as root", {
      image: "localhost/jacamar-busybox:latest",
      ...seccomp("setuid as root", 'block_calls = ["mount", "setns"]'),
    });
    await job.config();
    const prepare = await job.prepare();
    assert.equal(prepare.exitCode, 2);
    assert.match(
      prepare.stderr,
      /^ERROR: \[auth\.seccomp\] blocks .* without which no container runs: "mount", "setns"\n/,
    );
    assert.equal((await job.cleanup()).exitCode, 0);
    job.remove();
  });

  it("names the filter beside a failure of the site's that it may be the reason of", async () => {
    const job = place.job("setuid as root", seccomp("setuid as root", 'block_calls = ["mknod", "mknodat"]'));
    await job.config();
    const prepare = await job.prepare();
    assert.equal(prepare.exitCode, 2);
    assert.match(
      prepare.stderr,
      /Cannot make pipes [^]*- \[auth\.seccomp\] blocks mknod, mknodat: what failed may need what is blocked\n/,
    );
    await job.cleanup();
    job.remove();
  });

  it("starts containers under a list of all that Podman allows them", async () => {
    const allowed = `allow_calls = ${JSON.stringify(await usualCalls())}`;
    const job = place.job("setuid as root", {
      image: "localhost/jacamar-demo:latest",
      ...seccomp("setuid as root", allowed),
    });
    const { prepare, run } = await job.whole("id -u");
    assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
    assert.match(run.stdout, /^0\r?\n$/, run.stderr);
    job.remove();
  });

  it("lets a script become nobody but its own user, with limit_setuid", async () => {
    const own = `setpriv --reuid=${user.uid} true && echo own || echo refused`;
    const become = `perl -e 'use POSIX; print POSIX::setuid(${user.uid}) ? "own" : $!, "\\n"'`;
    const job = place.job("setuid as root", {
      auth: "[auth.seccomp]\nlimit_setuid = true",
      mechanism: "none",
    });
    const { prepare, run } = await job.whole(`${become}\n${own}`);
    assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
    assert.equal(run.stdout, "own\nrefused\n", run.stderr);
    job.remove();
  });

  it("holds in the stages of a batch job on this machine, and not where the scheduler starts the script", {
    skip: slurmMissing(),
  }, async () => {
    const slurm = startSlurm();
    try {
      const job = place.job("setuid as root", {
        auth: '[auth.seccomp]\nblock_calls = ["unshare"]',
        executor: "slurm",
        mechanism: "none",
        logging: `enabled = false\n[batch]\n${slurm.envVars}\ncommand_delay = "2s"`,
      });
      await job.config();
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      const body = "grep ^Seccomp: /proc/self/status; echo in ${SLURM_JOB_ID:+a job}";
      const batch = await job.run("build_script", body);
      assert.match(batch.stdout, new RegExp(`^Seccomp:\\s${own === 0 ? 0 : 2}\nin a job$`, "m"), batch.stderr);
      const here = await job.run("after_script", body);
      assert.match(here.stdout, /^Seccomp:\s2\nin\n$/, here.stderr);
      assert.equal((await job.cleanup()).exitCode, 0);
      job.remove();
    } finally {
      slurm.stop();
    }
  });

  for (const [what, door, options, message] of [
    [
      "a name of no system call",
      "setuid as root",
      { auth: '[auth.seccomp]\nblock_calls = ["no_such_call"]' },
      /^ERROR: \[auth\.seccomp\] names no system call: "no_such_call"\n/,
    ],
    [
      "a list without which no job runs",
      "setuid as root",
      { auth: '[auth.seccomp]\nblock_calls = ["execve", "setgroups"]' },
      /^ERROR: \[auth\.seccomp\] blocks system calls without which no job runs: "execve", "setgroups"\n {2}Take them out/,
    ],
    [
      "a service account whose programs may gain rights",
      "setuid with capabilities",
      { auth: '[auth.seccomp]\nblock_calls = ["unshare"]' },
      /^ERROR: The filter of \[auth\.seccomp\] cannot be loaded with a service account\n.*no_new_privs = true/,
    ],
    [
      "sudo, where programs may gain rights",
      "sudo",
      { auth: '[auth.seccomp]\nblock_calls = ["unshare"]' },
      /^ERROR: The filter of \[auth\.seccomp\] cannot be loaded with downscope = "sudo"\n.*no_new_privs = true/,
    ],
    [
      "limit_setuid and Podman",
      "setuid as root",
      { auth: "[auth.seccomp]\nlimit_setuid = true" },
      /^ERROR: limit_setuid and run_mechanism = "podman" exclude each other\n/,
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const job = place.job(door, options);
      const config = await job.config();
      assert.equal(config.exitCode, 2);
      assert.match(config.stderr, message);
      assert.equal(config.stdout, "");
      job.remove();
    });
  }
});
