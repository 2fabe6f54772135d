import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Stage, stageBundle } from "../../harness/stage.ts";
import { ScratchHome, withoutScratchHome } from "../bash/scratch-home.ts";
import { logOf } from "../stopping/jobs.ts";

let stage: Stage;
before(() => {
  stage = stageBundle();
});
after(() => stage.remove());

/** Runs two scripts, one that passes and one that exits with 3, in a home with the files given. */
async function inHome(files: Readonly<Record<string, string>>) {
  const home = new ScratchHome(stage, files);
  const job = home.job();
  try {
    await job.ready();
    const passing = await job.run("build_script", "echo the script has run");
    const failing = await job.run("build_script", "exit 3");
    const code = job.buildExitCode();
    assert.equal((await job.cleanup()).exitCode, 0);
    return { passing, failing, code };
  } finally {
    job.remove();
    home.remove();
  }
}

describe("a start-up file of Bash", { skip: withoutScratchHome }, () => {
  const swallowing = {
    "calls exit 0": { ".bash_profile": "exit 0\n" },
    "calls exec": { ".bash_profile": "exec /bin/true\n" },
    "calls exit 0 in ~/.profile": { ".profile": "echo bye; exit 0\n" },
    "kills its shell": { ".bash_profile": "kill -TERM $$; exit 0\n" },
  };
  for (const [what, files] of Object.entries(swallowing)) {
    it(`that ${what} makes no job pass`, async () => {
      const { passing, failing } = await inHome(files);
      for (const ended of [passing, failing]) {
        assert.notEqual(ended.exitCode, 0);
        assert.doesNotMatch(logOf(ended), /the script has run|\n\s+at /);
      }
      // A shell that a signal ended is the job's failure, like a script's.
      if (what === "kills its shell") return;
      assert.equal(passing.exitCode, 2);
      assert.match(
        passing.stderr,
        /^ERROR: The stage build_script ended \(exit code 0\) without its script's exit status\n {2}.*\.bash_profile\) calls exit or exec\.\n {2}Found on this machine:\n {2}- A login of "[^"]+" ended before it was ready: .*\n$/,
      );
    });
  }

  it("that calls exit fails a job with an image once, and cleanup has nothing to complain of", async () => {
    const home = new ScratchHome(stage, { ".bash_profile": "exit 0\n" });
    // No Podman in the scratch home: its pause process would stay there, and take all later ones of the user's in.
    const general =
      'run_mechanism = "podman"\n[general.podman]\napplication_path = "/nonexistent/podman"\nimage_pull_policy = "never"';
    const job = home.job({ general, image: "localhost/jacamar-busybox" });
    try {
      const config = await job.config();
      assert.equal(config.exitCode, 0, logOf(config));
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 2, logOf(prepare));
      assert.match(prepare.stderr, /^ERROR: A login of "[^"]+" ended before it was ready\n/);
      const cleanup = await job.cleanup();
      assert.deepEqual([cleanup.exitCode, logOf(cleanup)], [0, ""]);
    } finally {
      job.remove();
      home.remove();
    }
  });

  const harmless = {
    "sets errexit and nounset": { ".bash_profile": "set -eu\n" },
    "ends with a failing command": { ".bash_profile": "false\n" },
    "has a syntax error": { ".bash_profile": "if then\n" },
    "sets a trap on EXIT": { ".bash_profile": "trap 'exit 9' EXIT\n" },
    "sets arguments": { ".bash_profile": "set -- 7 8 9\n" },
    "of the logout fails as Debian's does": {},
    "of the logout calls exit 4": { ".bash_logout": "exit 4\n" },
  };
  for (const [what, files] of Object.entries(harmless)) {
    it(`that ${what} changes no exit code`, async () => {
      const { passing, failing, code } = await inHome(files);
      assert.equal(passing.exitCode, 0, logOf(passing));
      assert.match(passing.stdout, /^the script has run$/m);
      assert.equal(failing.exitCode, 1, logOf(failing));
      assert.equal(code, "3\n");
    });
  }
});
