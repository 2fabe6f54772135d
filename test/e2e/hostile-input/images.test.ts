import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Jobs, logOf } from "../stopping/jobs.ts";
import { assertNoInside, assertOneMessage, prepareFails } from "./one-message.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("images");
});
after(() => jobs.close());

const names: readonly string[] = [
  "--privileged",
  "-v/:/host",
  "-v /:/host",
  "x y",
  "$(id)",
  "`id`",
  "x;id",
  "x\ny",
  "x\u001b[31mred",
  "x\u0000y",
  "'x'",
  '"x"',
  "Debian",
  "../x",
  "/etc/passwd",
  "docker-archive:/etc/passwd",
  "dir:/",
  "oci:/tmp/x",
  "containers-storage:x",
  "localhost/x:tag:tag",
  "localhost/x@sha256:short",
  "http://localhost/x",
  "käse",
  " ",
  "x".repeat(10_000),
];

describe("an image name that is none is refused before anything is done with it:", () => {
  for (const name of names) {
    it(JSON.stringify(name.slice(0, 40)), async () => {
      const prepare = await prepareFails(jobs.job({ image: { name } }));
      assertOneMessage(prepare, "job", /^ERROR: The image "[^\n]{1,250}" is not the name of an image: [^\n]+\n/);
      assert.equal(prepare.stdout, "");
      assert.doesNotMatch(logOf(prepare), /uid=/);
      assert.ok(!logOf(prepare).includes("\u001b"));
      assert.ok(prepare.stderr.length < 600);
    });
  }

  it("also when the administrator forces the mechanism and has a list of images", async () => {
    const wanted = { general: "force_mechanism = true", podman: 'image_allowlist = [".*"]' };
    const prepare = await prepareFails(jobs.job({ ...wanted, image: "--privileged" }));
    assertOneMessage(prepare, "job", /^ERROR: The image "--privileged" is not the name of an image/);
  });
});

describe("an entrypoint", () => {
  const script = 'echo "ran as $(id -u)"';

  const working: Readonly<Record<string, readonly string[]>> = {
    "with quotes of both kinds": ["/bin/sh", "-c", `echo "it's a \\"quote\\""; exec /bin/sh "$0"`],
    "with a line break and a dollar": ["/bin/sh", "-c", 'x=\'$(id)\'\necho "$x";\nexec sh "$0"'],
    "with spaces, commas, brackets and unicode": ["/bin/sh", "-c", `: '[",", é]' ; exec /bin/sh "$0"`],
  };
  for (const [what, entrypoint] of Object.entries(working)) {
    it(`${what} is run as it is`, async () => {
      const job = jobs.job({ image: { name: "localhost/jacamar-demo", entrypoint } });
      await job.ready();
      const run = await job.run("build_script", script);
      assert.equal(run.exitCode, 0, logOf(run));
      assert.match(run.stdout, /^ran as 0$/m);
      if (what.includes("quotes")) assert.match(run.stdout, /^it's a "quote"$/m);
      if (what.includes("dollar")) assert.match(run.stdout, /^\$\(id\)$/m);
    });
  }

  it("that looks like an option is only the name of a program that is not there", async () => {
    const job = jobs.job({ image: { name: "localhost/jacamar-demo", entrypoint: ["--privileged"] } });
    await job.ready();
    const run = await job.run("build_script", script);
    assert.notEqual(run.exitCode, 0);
    assert.doesNotMatch(logOf(run), /ran as/);
    assert.match(
      run.stderr,
      /^ERROR: The entrypoint of the job's image ended \(exit code 127\) without running the script/m,
    );
    assertNoInside(run);
  });

  it("that does not run the script makes no job pass", async () => {
    const job = jobs.job({ image: { name: "localhost/jacamar-demo", entrypoint: ["/bin/true"] } });
    await job.ready();
    const run = await job.run("build_script", script);
    assertOneMessage(
      run,
      "job",
      /^ERROR: The entrypoint of the job's image ended \(exit code 0\) without running the script\n/,
    );
  });

  it("with a NUL is refused", async () => {
    const job = jobs.job({ image: { name: "localhost/jacamar-demo", entrypoint: ["/bin/sh", "-c\u0000"] } });
    assertOneMessage(
      await prepareFails(job),
      "job",
      /^ERROR: The entrypoint of the job's image holds a NUL character\n/,
    );
  });
});
