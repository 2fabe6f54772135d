import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../../process/capture.ts";
import { shellExitCode } from "../../process/command.ts";
import { readStatus, statusFileOf, writeNew } from "../../workspace/script-files.ts";
import { containerWrapper, generatedScriptOf } from "./wrapper.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-wrapper-"));
after(() => rmSync(directory, { recursive: true }));

const programs = ["/usr/bin/bash", "/usr/bin/dash", "/usr/bin/busybox"];
const missing = programs.filter((path) => !existsSync(path));
const skip = missing.length > 0 && `this machine has no ${missing.join(", ")}`;

/** A PATH on which only these programs are: the image that a test plays. */
function image(name: string, ...links: [name: string, target: string][]): string {
  const path = join(directory, name);
  mkdirSync(path);
  for (const [link, target] of links) symlinkSync(target, join(path, link));
  return path;
}

let count = 0;
async function run(shell: readonly [string, ...string[]], path: string, generated: string) {
  count += 1;
  const script = join(directory, `it's ${count}.bash`);
  writeNew(script, containerWrapper, 0o700);
  writeNew(generatedScriptOf(script), generated, 0o700);
  const said = await capture(
    { argv: [...shell, script], environment: { PATH: path }, workingDirectory: directory },
    { timeoutSeconds: 20 },
  );
  return { ...said, code: shellExitCode(said.ending, constants.signals), status: readStatus(script), script };
}

describe("containerWrapper", { skip }, () => {
  const paths =
    missing.length > 0
      ? { bash: "", dash: "", ash: "" }
      : {
          bash: image("with-bash", ["bash", "/usr/bin/bash"], ["sh", "/usr/bin/dash"]),
          dash: image("with-dash", ["sh", "/usr/bin/dash"]),
          ash: image("with-ash", ["sh", "/usr/bin/busybox"]),
        };
  const shells: [string, readonly [string, ...string[]], string][] = [
    ["bash, with Bash in the image", ["/usr/bin/bash"], paths.bash],
    ["dash, with Bash in the image", ["/usr/bin/dash"], paths.bash],
    ["BusyBox, with Bash in the image", ["/usr/bin/busybox", "sh"], paths.bash],
    ["BusyBox, without Bash in the image", ["/usr/bin/busybox", "sh"], paths.ash],
  ];
  for (const [name, shell, path] of shells) {
    test(`gives every exit code on, and leaves it beside the script, in ${name}`, async () => {
      for (const code of [0, 1, 2, 77, 125, 126, 127, 128, 137, 255]) {
        const ended = await run(shell, path, `exit ${code}\n`);
        assert.deepEqual([ended.code, ended.status], [code, code]);
      }
    });

    test(`leaves 128 and the number of a signal that ended the script, in ${name}`, async () => {
      for (const signal of ["KILL", "TERM", "SEGV"] as const) {
        const ended = await run(shell, path, `kill -${signal} $$\nsleep 5\n`);
        const code = 128 + constants.signals[`SIG${signal}`];
        assert.deepEqual([ended.code, ended.status], [code, code]);
      }
    });

    test(`reads a script in the form in which the runner writes it, in ${name}`, async () => {
      const generated = `#!/usr/bin/env bash

trap 'exit 1' TERM

case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit
set +o noclobber
(trap 'exit 1' TERM; eval $'export CI=\\'true\\'\\necho $\\'\\\\x41\\' "$JACAMAR_CI"\\nfalse\\necho not here\\n') < /dev/null
exit 0
`;
      const ended = await run(shell, path, generated);
      assert.deepEqual([ended.stdout, ended.code, ended.status], ["A true\n", 1, 1]);
    });
  }

  test("says what is wrong with an image whose only shell cannot read the runner's scripts", async () => {
    const ended = await run(["/usr/bin/dash"], paths.dash, "exit 0\n");
    assert.deepEqual([ended.code, ended.status], [127, 127]);
    assert.match(ended.stderr, /neither Bash nor a shell/);
    assert.match(ended.stderr, /FF_POSIXLY_CORRECT_ESCAPES/);
  });

  test("leaves its status though the script reads its input, ends its shell's options or says nothing", async () => {
    for (const generated of [
      "cat; exit 4",
      "set -eu; exit 4",
      "exec 1>&- 2>&-; exit 4",
      "cd /; unset PATH; exit 4",
      "(exit 4)",
    ]) {
      const ended = await run(["/usr/bin/dash"], paths.bash, generated.replace("cat", "/bin/cat"));
      assert.deepEqual([ended.code, ended.status], [4, 4], generated);
    }
  });

  test("leaves no status when it is killed itself", async () => {
    const ended = await run(["/usr/bin/dash"], paths.bash, "kill -KILL $PPID; sleep 1");
    assert.equal(ended.code, 137);
    assert.equal(ended.status, undefined);
  });

  test("still gives the code on when the status cannot be written", async () => {
    const script = join(directory, "blocked.bash");
    writeNew(script, containerWrapper, 0o700);
    writeFileSync(generatedScriptOf(script), "exit 5");
    mkdirSync(statusFileOf(script));
    const said = await capture(
      { argv: ["/usr/bin/dash", script], environment: { PATH: paths.bash }, workingDirectory: "/" },
      { timeoutSeconds: 20 },
    );
    assert.equal(shellExitCode(said.ending, constants.signals), 5);
  });
});
