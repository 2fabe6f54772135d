import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check podman", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("podman");
  });
  after(() => bench.close());

  const podman = (lines: string) => ({ configuration: `run_mechanism = "podman"\n[general.podman]\n${lines}` });

  test("tells the version of a Podman that works, without making a store", async () => {
    const { kind, text } = await bench.look("podman");
    assert.equal(kind, "ok");
    assert.match(text, /^\d+\.\d+/);
    assert.equal(await bench.run("bash", "-c", "ls ~/.local/share/containers 2>/dev/null || true"), "");
  });

  test("does not look where no job uses it", async () => {
    assert.equal((await bench.look("podman", "", { configuration: "" })).kind, "skipped");
  });

  test("finds that it is missing, with the place where it was looked for", async () => {
    const { findings } = await bench.look("podman", "", podman('application_path = "/nonexistent/podman"'));
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text]),
      [["podman-missing", 'Cannot start Podman as "/nonexistent/podman": ENOENT']],
    );
  });

  test("tells Podman's own word when it fails", async () => {
    const write = (line: string) =>
      `"\${as_user[@]}" mkdir -p $home/.config/containers; printf '${line}' > $home/.config/containers/containers.conf`;
    const { findings } = await bench.look("podman", write("no TOML"));
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["podman-failing"],
    );
    assert.match(findings[0]?.text ?? "", /^Podman fails: .*containers\.conf/);
    const runtime = await bench.look("podman", write('[engine]\\nruntime = "crun-of-nowhere"\\n'));
    assert.match(runtime.findings[0]?.text ?? "", /^Podman fails: .*crun-of-nowhere/);
    assert.match(runtime.findings[0]?.command ?? "", /runtime = "/);
    await bench.run("rm", "-r", `${bench.user.home}/.config`);
  });

  test("finds a version that is too old", async () => {
    const setup = `cat > $work/podman <<'END'
#!/bin/sh
podman "$@" | sed 's/"Version": "[0-9.]*"/"Version": "3.4.4"/'
END
chmod 755 $work/podman`;
    const { findings } = await bench.look("podman", setup, podman('application_path = "WORK/podman"'));
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text]),
      [["podman-old", "Podman 3.4.4 is older than 4.3"]],
    );
  });

  test("finds options that this Podman does not know, and takes those that it knows", async () => {
    const known =
      '["--network", "none", "--memory=1g", "-v", "/opt:/opt", "--userns=keep-id", "--cap-drop=ALL", "--device=/dev/null"]';
    assert.equal((await bench.look("podman", "", podman(`custom_options = ${known}`))).kind, "ok");
    const { findings } = await bench.look(
      "podman",
      "",
      podman('custom_options = ["--frobnicate=1"]\nrunner_options = ["--memroy", "1g"]\n'),
    );
    assert.deepEqual(
      findings.map(({ name, text }) => [name, /--\w+/.exec(text)?.[0]]),
      [
        ["podman-unknown-option", "--frobnicate"],
        ["podman-unknown-option", "--memroy"],
      ],
    );
  });
});
