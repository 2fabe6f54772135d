import assert from "node:assert/strict";
import test from "node:test";
import { frame, ScriptBody, writeCommands, writeExports } from "./script.ts";
import { prepareScript } from "./stage-scripts.ts";
import { variable } from "./variables.ts";

const context = {
  variables: [variable("PLAIN", "a b"), variable("SECRET_FILE", "line 1\n", { file: true })],
  projectDir: "/builds/group/demo",
  temporaryDir: "/builds/group/demo.tmp",
};

test("prepareScript() has the runner's frame, byte for byte", () => {
  // As a real gitlab-runner 19.4 wrote it, but for its superfluous quotes in `rm "-f"`.
  assert.equal(
    prepareScript(context, undefined),
    [
      "#!/usr/bin/env bash",
      "",
      "trap 'exit 1' TERM",
      "",
      `case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit`,
      "set +o noclobber",
      String.raw`(trap 'exit 1' TERM; eval $'echo "Running on $(hostname)"...\nrm -f /builds/group/demo.tmp/gitlab_runner_env /builds/group/demo.tmp/masking.db\n') < /dev/null`,
      "exit 0",
      "",
    ].join("\n"),
  );
});

test("frame() traces the commands only when asked", () => {
  assert.match(frame(new ScriptBody(), { trace: true }), /^set -o xtrace$/m);
  assert.doesNotMatch(frame(new ScriptBody(), { trace: false }), /xtrace/);
});

test("writeExports() exports values, writes file variables beside the project and reads GITLAB_ENV", () => {
  const body = new ScriptBody();
  writeExports(body, context, { writeFiles: true });
  assert.deepEqual(body.toString().split("\n"), [
    "export PLAIN=$'a b'",
    "mkdir -p /builds/group/demo.tmp",
    "printf '%s' $'line 1\\n' > /builds/group/demo.tmp/SECRET_FILE",
    "export SECRET_FILE=/builds/group/demo.tmp/SECRET_FILE",
    "export GITLAB_ENV=/builds/group/demo.tmp/gitlab_runner_env",
    "mkdir -p /builds/group/demo.tmp",
    "touch /builds/group/demo.tmp/gitlab_runner_env",
    'while read -r line; do export "$line"; done < /builds/group/demo.tmp/gitlab_runner_env',
    "",
  ]);
});

test("writeCommands() announces each command as GitLab does, of several lines the first", () => {
  const body = new ScriptBody();
  writeCommands(body, ["make all", "if true\nthen :\nfi\n", ""]);
  assert.deepEqual(body.toString().split("\n"), [
    "echo $'\\x1b[32;1m$ make all\\x1b[0;m'",
    "make all",
    "echo $'\\x1b[32;1m$ if true # collapsed multi-line command\\x1b[0;m'",
    "if true",
    "then :",
    "fi",
    "echo",
    "",
    "",
  ]);
});
