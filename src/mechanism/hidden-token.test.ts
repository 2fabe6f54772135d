import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { hideTokens } from "./hidden-token.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-token-"));
after(() => rmSync(directory, { recursive: true }));

const program = join(directory, "gitlab-runner");
writeFileSync(program, `#!/bin/sh\nprintf '<%s>' "$@"; echo " CI_JOB_TOKEN=$CI_JOB_TOKEN"; exit 7\n`);
chmodSync(program, 0o755);

async function run(script: string, shell = "bash"): Promise<string> {
  const path = join(directory, "script");
  writeFileSync(path, hideTokens(Buffer.from(script)));
  const environment = { PATH: `${directory}:/usr/bin:/bin`, CI_JOB_TOKEN: "own" };
  const said = await capture({ argv: [shell, path], environment, workingDirectory: directory }, { timeoutSeconds: 20 });
  return `${said.stdout}${said.stderr}`;
}

describe("hideTokens()", () => {
  test("gives a token to the program in its environment, and everything else as it is", async () => {
    const generated = `#!/usr/bin/env bash
set -o errexit -o nounset
(eval $'"gitlab-runner" "artifacts-downloader" "--url" "https://x/" "--token" "of another" "--id" "7" "a b" "*" "" || true') < /dev/null
`;
    assert.equal(
      await run(generated),
      "<artifacts-downloader><--url><https://x/><--id><7><a b><*><> CI_JOB_TOKEN=of another\n",
    );
    assert.equal(await run("gitlab-runner x --token=abc"), "<x> CI_JOB_TOKEN=abc\n");
  });

  test("changes nothing for a call without a token, and nothing for the calls after", async () => {
    assert.equal(await run("gitlab-runner --version"), "<--version> CI_JOB_TOKEN=own\n");
    assert.equal(await run("gitlab-runner x --token"), "<x> CI_JOB_TOKEN=own\n");
    assert.equal(
      await run("gitlab-runner a --token b; gitlab-runner c; echo $CI_JOB_TOKEN"),
      "<a> CI_JOB_TOKEN=b\n<c> CI_JOB_TOKEN=own\nown\n",
    );
  });

  test("gives the exit code on, also of a program that is not there", async () => {
    assert.match(await run("gitlab-runner a --token b; echo code $?"), /code 7\n$/);
    const guard =
      "PATH=/nonexistent; if gitlab-runner --version >/dev/null 2>&1; then echo there; else echo missing; fi";
    assert.equal(await run(guard), "missing\n");
  });

  test("leaves a shell alone that knows no such functions, and a script without a first line like that", async () => {
    assert.equal(await run("#!/bin/sh\ngitlab-runner a --token b", "dash"), "<a><--token><b> CI_JOB_TOKEN=own\n");
    assert.equal(await run("echo plain"), "plain\n");
    assert.match(
      Buffer.from(hideTokens(Buffer.from("#!/usr/bin/env bash\nx"))).toString(),
      /^#!\/usr\/bin\/env bash\nif /,
    );
  });
});
