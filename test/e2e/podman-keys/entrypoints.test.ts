import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { executors } from "../podman-support/executors.ts";
import { type BenchJob, prepared, refused, scriptOf, Workbench } from "../podman-support/workbench.ts";

const demo = "localhost/jacamar-demo:latest";
/** An image with an ENTRYPOINT of its own that says so. */
const speaking = "localhost/jacamar-entrypoint:latest";
const spoke = "entrypoint of the image";
const how = 'echo "how: ${HOW:-nobody chose}"';

/** An entrypoint that sets a variable, which the script can see. */
function marked(text: string): string[] {
  return ["/usr/bin/env", `HOW=${text}`, "/bin/sh", "-c"];
}

for (const [executor, skip] of executors) {
  // A job of Slurm mostly waits.
  describe(`the entrypoint of the user's steps, ${executor}`, {
    skip,
    concurrency: executor === "slurm" ? 3 : 1,
  }, () => {
    let bench: Workbench;
    before(() => {
      bench = new Workbench("entrypoints", executor);
    });
    after(() => bench.close());

    const cases: (BenchJob & { title: string; prints: RegExp; never?: RegExp; stage?: string })[] = [
      {
        title: "is Bash where nobody chose one, and not the image's own",
        image: speaking,
        prints: /^how: nobody chose$/m,
        never: new RegExp(spoke),
      },
      {
        title: "is the job's: a list with quotes and spaces arrives as it was written",
        image: { name: demo, entrypoint: marked('it\'s "one  two" $HOME \\') },
        prints: /^how: it's "one {2}two" \$HOME \\$/m,
      },
      {
        title: "is the job's: the image's own, when the job names it",
        image: { name: speaking, entrypoint: ["/usr/local/bin/entrypoint"] },
        prints: /entrypoint of the image: 1 arguments/,
      },
      {
        title: 'is none at all with [""]',
        image: { name: speaking, entrypoint: [""] },
        prints: /^how: /m,
        never: new RegExp(spoke),
      },
      {
        title: "is user_entry_point where the administrator set it, whatever the job says",
        image: { name: demo, entrypoint: marked("the job's") },
        podman: { user_entry_point: marked("the administrator's") },
        prints: /^how: the administrator's$/m,
      },
      {
        title: "is the job's with an empty user_entry_point",
        image: { name: demo, entrypoint: marked("the job's") },
        podman: { user_entry_point: [] },
        prints: /^how: the job's$/m,
      },
      {
        title: "is not runner_entry_point",
        image: { name: demo, entrypoint: marked("the job's") },
        podman: { runner_image: demo, runner_entry_point: marked("the runner's") },
        prints: /^how: the job's$/m,
      },
      {
        title: "of a stage of the runner's is runner_entry_point",
        image: { name: demo, entrypoint: marked("the job's") },
        podman: { runner_image: demo, runner_entry_point: marked("the runner's") },
        stage: "get_sources",
        prints: /^how: the runner's$/m,
      },
      {
        title: "falls back to sh for an image without Bash, and the log says so",
        image: "localhost/jacamar-busybox:latest",
        prints: /The image has no \/bin\/bash: its scripts run with \/bin\/sh\n[^]*^how: nobody chose$/m,
      },
    ];
    for (const { title, prints, never, stage, ...options } of cases) {
      // The runner's stages are on its own machine.
      if (executor === "slurm" && stage !== undefined) continue;
      it(title, async () => {
        const { exitCode, log } = await scriptOf(bench.job(options), how, stage);
        assert.equal(exitCode, 0, log);
        assert.match(log, prints);
        if (never) assert.doesNotMatch(log, never);
      });
    }

    const failures: [title: string, entrypoint: string[], words: RegExp][] = [
      [
        "ends without having run the script",
        ["/bin/true"],
        /entrypoint of the job's image ended \(exit code \d\) without running the script\n/,
      ],
      [
        "fails before it runs the script",
        ["/bin/false"],
        /entrypoint of the job's image ended \(exit code \d\) without running the script\n/,
      ],
      ["is not in the image", ["/no/such/program"], /\/no\/such\/program/],
    ];
    for (const [title, entrypoint, words] of failures) {
      it(`fails the job clearly when it ${title}`, async () => {
        const { exitCode, log } = await scriptOf(bench.job({ image: { name: demo, entrypoint } }), "echo never");
        assert.equal(exitCode, 1);
        assert.match(log, words);
        assert.doesNotMatch(log, /^never$/m);
      });
    }

    // No script is run, by whatever executor.
    if (executor === "slurm") return;
    it("refuses an image without any shell before a script is run, as the job's own fault", async () => {
      const { exitCode, log } = await refused(bench.job({ image: "localhost/jacamar-no-shell:latest" }));
      assert.equal(exitCode, 1, log);
      assert.match(
        log,
        /^ERROR: The image "localhost\/jacamar-no-shell:latest" has neither \/bin\/bash nor \/bin\/sh/m,
      );
    });
  });
}

describe("the user of a container", () => {
  let bench: Workbench;
  before(() => {
    bench = new Workbench("container-user");
  });
  after(() => bench.close());

  /** Runs the script and returns who it was inside, with the owner outside of a file that it made. */
  async function who(options: BenchJob): Promise<{ inside: string[]; outside: number; log: string }> {
    const job = bench.job(options);
    const log = await prepared(job);
    const made = `${job.directoryOf("buildsDir")}/made-${job.id}`;
    const { exitCode, stdout, stderr } = await job.run("build_script", `id -u; id -g; touch ${made}`);
    assert.equal(exitCode, 0, stdout + stderr);
    return { inside: stdout.trim().split("\n"), outside: statSync(made).uid, log };
  }

  it("is root inside, and the job's user outside", async () => {
    const { inside, outside } = await who({ image: demo });
    assert.deepEqual([inside, outside], [["0", "0"], bench.user.uid]);
  });

  it("is the same where the image names another user, and the log says so", async () => {
    const image = await bench.makeImage("with-user", "USER 1234");
    const { inside, outside, log } = await who({ image });
    assert.deepEqual([inside, outside], [["0", "0"], bench.user.uid]);
    assert.match(
      log,
      /The image is made for its user "1234"; in this job it runs as root of the container, which is you/,
    );
  });

  it("is the number that image:docker:user names, and still the job's user outside", async () => {
    const image = { name: demo, executor_opts: { docker: { user: "1234:5678" } } };
    const { inside, outside } = await who({ image });
    assert.deepEqual([inside, outside], [["1234", "5678"], bench.user.uid]);
  });

  it("cannot be a name", async () => {
    const image = { name: demo, executor_opts: { docker: { user: "builder" } } };
    const { exitCode, log } = await refused(bench.job({ image }));
    assert.equal(exitCode, 1);
    assert.match(log, /The user "builder" of the job's image is not a number/);
  });
});
