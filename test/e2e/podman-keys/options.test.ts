import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { executors, scriptOutput } from "../podman-support/executors.ts";
import { jobKey, prepared, refused, scriptOf, Workbench } from "../podman-support/workbench.ts";

let bench: Workbench;
before(() => {
  bench = new Workbench("options");
});
after(() => bench.close());

const image = "localhost/jacamar-demo:latest";

describe("custom_options and runner_options", () => {
  it("reach the containers that they are for, and no others", async () => {
    const podman = {
      runner_image: image,
      custom_options: ["--env", 'A=the user\'s "$(id)"', "--hostname=user"],
      runner_options: ["--env", "B=the runner's"],
    };
    const job = bench.job({ image, podman });
    await prepared(job);
    const look = 'echo "${A-no A}|${B-no B}|$(uname -n)"';
    assert.match((await job.run("build_script", look)).stdout, /^the user's "\$\(id\)"\|no B\|user$/m);
    assert.match((await job.run("get_sources", look)).stdout, /^no A\|the runner's\|(?!user$).*$/m);
  });

  it("that Podman does not know fail the stage as the system's fault", async () => {
    const { exitCode, log } = await scriptOf(bench.job({ image, podman: { custom_options: ["--no-such"] } }), "true");
    assert.equal(exitCode, 2);
    assert.match(log, /ERROR: Podman failed before the script ran: unknown flag: --no-such/);
  });
});

describe("disable_container_removal", () => {
  for (const [keep, left] of [
    [false, 0],
    [true, 2],
  ] as const) {
    it(`= ${keep} leaves ${left === 0 ? "no container" : "a container for each stage, ended, also after cleanup"}`, async () => {
      const job = bench.job({ image, podman: { disable_container_removal: keep } });
      await prepared(job);
      await job.run("build_script", "true");
      await job.run("after_script", "true");
      await job.cleanup();
      assert.equal((await bench.containersOf(job)).length, left);
      const filters = ["--filter", `label=jacamar-ci.job=${jobKey(job)}`];
      assert.equal(await bench.podman("ps", "--quiet", ...filters), "", "running");
    });
  }
});

describe("user_volume_variable", () => {
  const prefix = { user_volume_variable: "PODMAN_VOLUMES" };

  it("unset, is no variable at all", async () => {
    const variables = { PODMAN_VOLUMES_0: "/usr/share:/data" };
    const { log } = await scriptOf(bench.job({ image, variables }), "[ -e /data ] || echo nothing");
    assert.match(log, /^nothing$/m);
  });

  it("gives the runner's containers nothing", async () => {
    const podman = { ...prefix, runner_image: image };
    const job = bench.job({ image, podman, variables: { PODMAN_VOLUMES_0: "/usr/share:/data" } });
    const { log } = await scriptOf(job, "[ -e /data ] || echo nothing", "get_sources");
    assert.match(log, /^nothing$/m);
  });

  const bad: [text: string, why: RegExp][] = [
    ["/usr/share", /no colon between source and target/],
    ["usr:/data", /source "usr" is not an absolute path/],
    ["/usr/share:data", /target "data" is not an absolute path/],
    ["/usr/../etc:/data", /has a part "\." or "\.\."/],
    [":/data", /has no source/],
    ["/usr/share:/data:suid", /option "suid" is not allowed/],
    ["/usr/share:/data:ro:z", /more than two colons/],
    ["/no/such/directory:/data", /source "\/no\/such\/directory" does not exist/],
    ["/usr/share:/proc/x", /target "\/proc\/x" is the system's/],
  ];
  for (const [text, why] of bad) {
    it(`refuses ${text} before anything runs, naming the variable and the reason`, async () => {
      const job = bench.job({ image, podman: prefix, variables: { PODMAN_VOLUMES_7: text } });
      const { exitCode, log } = await refused(job);
      assert.equal(exitCode, 1);
      assert.match(log, /^ERROR: The volume variable PODMAN_VOLUMES_7 cannot be used: /);
      assert.match(log, why);
    });
  }

  it("shows what the user has written, where GitLab knew no value for a variable in it", async () => {
    const written = { key: "PODMAN_VOLUMES_0", value: "$HOME/no-such:/data" };
    const variables = { PODMAN_VOLUMES_0: "/no-such:/data" };
    const { log } = await refused(bench.job({ image, podman: prefix, variables, response: { variables: [written] } }));
    assert.match(
      log,
      /source "\/no-such" does not exist; GitLab has made it of "\$HOME\/no-such:\/data"\n {2}.*\$HOME/,
    );
  });

  it("is named when Podman cannot start the container with it", async () => {
    const variables = { PODMAN_VOLUMES_0: "/usr/share:/etc/passwd" };
    const { exitCode, log } = await scriptOf(bench.job({ image, podman: prefix, variables }), "true");
    assert.equal(exitCode, 2);
    assert.match(
      log,
      /^ERROR: Podman failed before the script ran: .*\n {2}The job's own volumes .*\/usr\/share on \/etc\/passwd/m,
    );
  });
});

describe("tty", () => {
  const isTerminal = "for n in 0 1 2; do [ -t $n ] && echo $n: terminal || echo $n: none; done";

  it("= true gives programs a terminal for their output", async () => {
    const { log } = await scriptOf(bench.job({ image }), isTerminal);
    assert.match(log, /^0: none\n1: terminal\n2: terminal$/m);
  });

  it("= false gives them none, and keeps standard output and error apart", async () => {
    const job = bench.job({ image, podman: { tty: false } });
    await prepared(job);
    const { stdout, stderr } = await job.run("build_script", `${isTerminal}; echo out; echo err >&2`);
    assert.equal(stdout, "0: none\n1: none\n2: none\nout\n");
    assert.equal(stderr, "err\n");
  });
});

for (const [executor, skip] of executors) {
  describe(`what a script gets and prints, ${executor}`, { skip }, () => {
    let bench: Workbench;
    before(() => {
      bench = new Workbench("options-of", executor);
    });
    after(() => bench.close());

    it("are several volumes of user_volume_variable, in natural order, with their options", async () => {
      const [one, two] = [`${bench.directory}/one`, `${bench.directory}/two`];
      for (const path of [one, two]) mkdirSync(`${path}/inner`, { recursive: true, mode: 0o755 });
      bench.write("two/file", "of two");
      // In another order the mount of _2 would lie below that of _10, and not be seen.
      const variables = {
        PODMAN_VOLUMES_10: `${two}:/data/inner:ro`,
        PODMAN_VOLUMES_2: `${one}:/data`,
        PODMAN_VOLUMESX: `${two}:/spare\n`,
      };
      const body = "cat /data/inner/file /spare/file; echo; touch /data/inner/x || echo read-only";
      const { log } = await scriptOf(
        bench.job({ image, podman: { user_volume_variable: "PODMAN_VOLUMES" }, variables }),
        body,
      );
      assert.match(log, /^of twoof two\n.*Read-only file system\nread-only$/m);
    });

    for (const tty of [true, false]) {
      it(`with tty = ${tty} is 1 MB as the script wrote it, with its own carriage returns`, async () => {
        const job = bench.job({ image, podman: { tty } });
        await prepared(job);
        const body = `printf 'bar 50%%\\rbar 100%%\\n\\r\\nend\\r\\n\\r\\r'; echo
        for n in $(seq 20000); do echo "$n: line that is about fifty characters long, äöü €"; done; printf 'no end'`;
        const ended = await job.run("build_script", body);
        const stdout = scriptOutput(ended.stdout);
        assert.equal(ended.exitCode, 0);
        const lines = Array.from(
          { length: 20_000 },
          (_, n) => `${n + 1}: line that is about fifty characters long, äöü €\n`,
        );
        const wanted = `bar 50%\rbar 100%\n\r\nend\r\n\r\r\n${lines.join("")}no end`;
        assert.ok(wanted.length > 1e6);
        // The line of ours at the end begins on a line of its own.
        assert.equal(digest(stdout.replace(/\n$/, "")), digest(wanted), stdout.slice(0, 200));
      });
    }
  });
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
