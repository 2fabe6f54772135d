import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { makeRecorder } from "../podman-support/recorder.ts";
import { prepared, refused, scriptOf, Workbench } from "../podman-support/workbench.ts";

let bench: Workbench;
before(() => {
  bench = new Workbench("podman");
});
after(() => bench.close());

const image = "localhost/jacamar-demo:latest";

describe("application_path", () => {
  it("is the program of all commands", async () => {
    const recorder = makeRecorder(bench);
    const job = bench.job({ image, podman: { application_path: recorder.program, disable_container_removal: true } });
    await prepared(job);
    await job.run("build_script", "true");
    await job.cleanup();
    const commands = recorder.take().map(({ argv }) => argv.slice(0, 2).join(" "));
    assert.deepEqual(new Set(commands), new Set(["image inspect", "run --rm", "run --volume", "ps --all"]));
  });

  it("unset, is the podman on the PATH of the user's login", async () => {
    const { exitCode } = await scriptOf(bench.job({ image }), "true");
    assert.equal(exitCode, 0);
  });

  it("fails the job as the system's fault where there is no such program", async () => {
    const { exitCode, log } = await refused(bench.job({ image, podman: { application_path: "/no/such/podman" } }));
    assert.equal(exitCode, 2);
    assert.match(log, /^ERROR: Cannot start Podman as "\/no\/such\/podman": ENOENT\n.*application_path/m);
  });
});

describe("prep_script", () => {
  it("runs as the user before any Podman command, and what it prints stands in the log", async () => {
    const recorder = makeRecorder(bench);
    const script = bench.write(
      "prep",
      `#!/bin/bash
echo '{"argv":["prep_script"],"env":{}}' >> ${recorder.file}
echo "prep_script of $(id -un) with JACAMAR_CI=$JACAMAR_CI and \${SECRET_OF_THE_RUNNER:-nothing} of the runner"
echo "and a warning" >&2
`,
      0o700,
    );
    const job = bench.job({ image, podman: { application_path: recorder.program, prep_script: script } });
    const log = await prepared(job);
    assert.match(
      log,
      new RegExp(`^prep_script of ${bench.user.name} with JACAMAR_CI=true and nothing of the runner$`, "m"),
    );
    assert.match(log, /^and a warning$/m);
    const [first, second] = recorder.take().map(({ argv }) => argv[0]);
    assert.deepEqual([first, second], ["prep_script", "image"]);
  });

  it("can make what the job needs", async () => {
    const made = `${bench.directory}/made-by-prep`;
    const script = bench.write("prep-makes", `#!/bin/bash\nmkdir -p ${made} && echo hello > ${made}/file\n`, 0o700);
    const podman = { prep_script: script, custom_options: [`--volume=${made}:/made:ro`] };
    const { log } = await scriptOf(bench.job({ image, podman }), "cat /made/file");
    assert.match(log, /^hello$/m);
  });

  for (const [what, text] of [
    ["fails", "#!/bin/bash\necho the quota is used up; exit 3\n"],
    ["cannot be run", undefined],
  ] as const) {
    it(`that ${what} fails the job as the system's fault, before any Podman command`, async () => {
      const recorder = makeRecorder(bench);
      const script = text === undefined ? "/no/such/prep" : bench.write("prep-fails", text, 0o700);
      const podman = { application_path: recorder.program, prep_script: script };
      const { exitCode, log } = await refused(bench.job({ image, podman }));
      assert.equal(exitCode, 2);
      assert.match(log, /^ERROR: The administrator's prep_script ".*" ended with exit code (3|127)$/m);
      assert.match(log, /^the quota is used up$|No such file/m);
      assert.deepEqual(recorder.take(), []);
    });
  }

  it("does not run for a job on the host", async () => {
    const script = bench.write("prep-host", "#!/bin/bash\necho prep; exit 1\n", 0o700);
    assert.doesNotMatch(await prepared(bench.job({ podman: { prep_script: script } })), /prep/);
  });
});
