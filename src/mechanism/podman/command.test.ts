import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { isJobKey } from "../../gitlab/job-key.ts";
import { capture } from "../../process/capture.ts";
import { isJobLife } from "../../gitlab/job-life.ts";
import { containerLabels, containerName, type ContainerSpec, runArguments } from "./command.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-command-"));
after(() => rmSync(directory, { recursive: true }));

const key = "4242-0123456789ab";
assert.ok(isJobKey(key));

const data = "/data";
const scripts = `${data}/scripts/runner/000/group/project/4242`;
const workspace = {
  base: data,
  buildsBase: data,
  buildsDir: `${data}/builds/runner/000`,
  cacheDir: `${data}/cache`,
  projectCacheDir: `${data}/cache/group/project`,
  projectDir: `${data}/builds/runner/000/group/project`,
  scriptsDir: scripts,
  privateDir: `${scripts}.private`,
};

const id = "f".repeat(64);
const plain: ContainerSpec = {
  name: "NAME",
  labels: ["a=1", "b=2"],
  workspace,
  authFile: `${scripts}/auth.json`,
  entrypoint: ["/bin/bash", "-l", "-c"],
  removeAfterwards: true,
  tty: true,
  selinux: { volumes: "relabel", level: undefined },
  user: undefined,
  asContainerRoot: false,
  platform: "",
  options: [],
  volumes: [],
  image: { id },
  script: `${scripts}/build_script.bash`,
};

/** The arguments that a change adds to and takes away from those of the plain command. */
function difference(changes: Partial<ContainerSpec>): { added: string[]; gone: string[] } {
  const [before, now] = [runArguments(plain), runArguments({ ...plain, ...changes })];
  return {
    added: now.filter((argument) => !before.includes(argument)),
    gone: before.filter((argument) => !now.includes(argument)),
  };
}

describe("runArguments()", () => {
  // podman-run-mechanism.txt, "The resulting Podman command would look something like". Ours adds a name, labels and
  // --pull=never, and names the image by the id that prepare has brought.
  test("gives the specification's command, argument by argument", () => {
    assert.deepEqual(runArguments(plain), [
      "run",
      "--volume",
      "/data/builds/runner/000:/data/builds/runner/000:Z",
      "--volume",
      "/data/cache/group/project:/data/cache/group/project:z",
      "--volume",
      `${scripts}:${scripts}:Z`,
      "--authfile",
      `${scripts}/auth.json`,
      "--entrypoint",
      '["/bin/bash","-l","-c"]',
      "--rm",
      "--tty",
      "--name",
      "NAME",
      "--label",
      "a=1",
      "--label",
      "b=2",
      "--pull=never",
      id,
      `${scripts}/build_script.bash`,
    ]);
  });

  test("leaves out --rm and --tty, each alone, where the site wants that", () => {
    assert.deepEqual(difference({ removeAfterwards: false }), { added: [], gone: ["--rm"] });
    assert.deepEqual(difference({ tty: false }), { added: [], gone: ["--tty"] });
  });

  test("labels for SELinux as asked, with a level after the first time", () => {
    const unlabelled = [workspace.buildsDir, workspace.projectCacheDir, scripts].map((path) => `${path}:${path}`);
    assert.deepEqual(difference({ selinux: { volumes: "keep", level: undefined } }).added, unlabelled);
    const level = ["--security-opt", "label=level:s0:c1,c2"];
    assert.deepEqual(difference({ selinux: { volumes: "relabel", level: "s0:c1,c2" } }).added, level);
    assert.deepEqual(difference({ selinux: { volumes: "keep", level: "s0:c1,c2" } }).added, [...unlabelled, ...level]);
  });

  test("makes the user that the job asks for the job's own user outside", () => {
    const added = ["--user=1000:100", "--userns=keep-id:uid=1000,gid=100"];
    assert.deepEqual(difference({ user: { uid: 1000, gid: 100 } }).added, added);
    assert.deepEqual(difference({ user: { uid: 1000, gid: 100 }, asContainerRoot: true }).added, added);
    assert.deepEqual(difference({ asContainerRoot: true }).added, ["--user=0:0"]);
  });

  test("adds the platform, the administrator's options and the user's volumes before the image", () => {
    const more = runArguments({
      ...plain,
      platform: "linux/arm64",
      options: ["--network=none", "--env", "A=b c"],
      volumes: [
        { source: "/a b", target: "/c", options: ["ro", "z"] },
        { source: "/d", target: "/e", options: [] },
      ],
    });
    const tail = more.slice(more.indexOf("--platform=linux/arm64"));
    assert.deepEqual(tail, [
      "--platform=linux/arm64",
      "--pull=never",
      "--network=none",
      "--env",
      "A=b c",
      "--volume",
      "/a b:/c:ro,z",
      "--volume",
      "/d:/e",
      id,
      `${scripts}/build_script.bash`,
    ]);
  });

  test("starts from an archive without a word on pulling", () => {
    assert.deepEqual(difference({ image: { archive: "oci-archive:/data/x" } }), {
      added: ["--quiet", "oci-archive:/data/x"],
      gone: ["--pull=never", id],
    });
  });

  test("writes an entrypoint as JSON, and none as an empty text", () => {
    const argumentOf = (entrypoint: string[]) => {
      const all = runArguments({ ...plain, entrypoint });
      return all[all.indexOf("--entrypoint") + 1];
    };
    assert.equal(argumentOf([""]), "");
    assert.equal(argumentOf(["", ""]), "");
    assert.equal(argumentOf(["--privileged"]), '["--privileged"]');
    const hostile = ["a'b", 'c"d', "e f", "$(id)", "\n", "ü", ""];
    assert.deepEqual(JSON.parse(argumentOf(hostile) ?? ""), hostile);
  });

  test("quotes the script for a shell with -c alone", () => {
    const scriptOf = (entrypoint: string[], script: string) => runArguments({ ...plain, entrypoint, script }).at(-1);
    for (const entrypoint of [
      ["/bin/bash", "-l", "-c"],
      ["sh", "-c"],
      ["bash", "-lc"],
      ["bash", "-elc"],
    ]) {
      assert.equal(scriptOf(entrypoint, "/a b/x"), "'/a b/x'");
      assert.equal(scriptOf(entrypoint, "/plain_1.2-3/x.bash"), "/plain_1.2-3/x.bash");
    }
    for (const entrypoint of [[""], ["/entry.sh"], ["tini", "--"], ["sh", "-c", "exec $0"], ["x", "c"], ["x", "--c"]]) {
      assert.equal(scriptOf(entrypoint, "/a b/x"), "/a b/x");
    }
  });

  test("quotes so that a shell reads the same path again, whatever is in it", async () => {
    const name = fc.stringMatching(/^[^\0]{0,30}$/u).filter((text) => text.isWellFormed());
    const hostile = fc.constantFrom(
      "'",
      "''",
      "\\",
      "$(id)",
      "`id`",
      '"',
      "\n",
      "*",
      "~",
      "!!",
      "$'x'",
      "a b",
      "-n",
      ";",
      "ü",
    );
    const paths = fc
      .sample(fc.array(fc.oneof(name, hostile), { minLength: 1 }), 300)
      .map((parts) => `/${parts.join("")}`);
    const quoted = paths.map((script) => runArguments({ ...plain, script }).at(-1));
    for (const shell of ["bash", "dash"]) {
      const said = await capture(
        {
          argv: [shell, "-c", `printf '%s\\0' ${quoted.join(" ")}`],
          environment: { PATH: "/usr/bin:/bin" },
          workingDirectory: "/",
        },
        { timeoutSeconds: 20 },
      );
      assert.deepEqual(said.stdout.split("\0").slice(0, -1), paths);
    }
  });

  test("lets a shell run a script in a directory with a hostile name", async () => {
    const hostile = join(directory, 'it\'s $(id) "*" a;b ü');
    mkdirSync(hostile);
    const script = join(hostile, "build_script.bash");
    writeFileSync(script, '#!/bin/sh\necho "ran $0"\n');
    chmodSync(script, 0o700);
    const argument = runArguments({ ...plain, script }).at(-1) ?? "";
    const said = await capture(
      { argv: ["/bin/bash", "-l", "-c", argument], environment: { PATH: "/usr/bin:/bin" }, workingDirectory: "/" },
      { timeoutSeconds: 20 },
    );
    assert.equal(said.stdout, `ran ${script}\n`);
  });
});

test("containerLabels() and containerName() tell the job and the stage", () => {
  const labels = ["jacamar-ci.job=4242-0123456789ab", "jacamar-ci.stage=build_script"];
  assert.deepEqual(containerLabels(key, "build_script", undefined), labels);
  const life = "node/1/2/3";
  assert.ok(isJobLife(life));
  assert.deepEqual(containerLabels(key, "build_script", life), [...labels, "jacamar-ci.life=node/1/2/3"]);
  assert.equal(containerName(key, "build_script", "abc"), "jacamar-ci-4242-0123456789ab-build_script-abc");
});
