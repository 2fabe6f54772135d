import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { afterEach, beforeEach } from "node:test";
import { capture } from "../process/capture.ts";
import { packCommand, writeFileList } from "./archive-script.ts";
import { frame, ScriptBody } from "./script.ts";

let top = "";
let project = "";
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "archive-test-"));
  project = join(top, "a project's $(id)");
  mkdirSync(project);
});
afterEach(() => rmSync(top, { recursive: true }));

function file(path: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), path);
}

async function list(
  paths: readonly string[],
  more: { exclude?: readonly string[]; untracked?: boolean } = {},
  awk = "awk",
): Promise<{ files: string[]; said: string }> {
  const body = new ScriptBody();
  body.command("cd", project);
  if (awk !== "awk") body.line(`awk() { ${awk} "$@"; }`);
  const selection = { paths, exclude: more.exclude ?? [], untracked: more.untracked ?? false };
  writeFileList(body, selection, project, join(top, "list"));
  const result = await bash(body);
  const text = readFileSync(join(top, "list"), "utf8");
  return { files: text.split("\n").filter((line) => line !== ""), said: result.stderr.trim() };
}

async function bash(body: ScriptBody) {
  const result = await capture(
    {
      argv: ["bash", "-c", frame(body, { trace: false })],
      environment: { PATH: process.env["PATH"] ?? "" },
      workingDirectory: top,
    },
    { timeoutSeconds: 20 },
  );
  assert.deepEqual(result.ending, { exitCode: 0 }, result.stderr);
  return result;
}

for (const awk of ["awk", "busybox awk"]) {
  test(`writeFileList() with ${awk} lists what the patterns name, with the runner's counts`, async () => {
    for (const path of [
      "date.txt",
      "out/a.txt",
      "out/.hidden",
      "out/deep/b.o",
      "x y/ü.txt",
      "tab\there",
      "q'u\"o$te",
    ]) {
      file(path);
    }
    const { files, said } = await list(
      ["date.txt", "out/", "**/*.txt", "missing", "out/**"],
      { exclude: ["**/*.o"] },
      awk,
    );
    assert.deepEqual(files, ["./date.txt", "./out", "./out/.hidden", "./out/a.txt", "./out/deep", "./x y/ü.txt"]);
    assert.deepEqual(said.split("\n"), [
      "date.txt: found 1 matching artifact files and directories",
      "out/: found 4 matching artifact files and directories",
      "**/*.txt: found 3 matching artifact files and directories",
      `WARNING: missing: no matching files. Ensure that the artifact path is relative to the working directory (${project})`,
      "out/**: found 7 matching artifact files and directories",
      "**/*.o: excluded 4 files",
    ]);
  });
}

test("writeFileList() takes nothing from outside the project, by path or by link", async () => {
  writeFileSync(join(top, "secret"), "secret");
  file("in/x");
  symlinkSync("../..", join(project, "in", "up"));
  const { files, said } = await list(["../secret", "/etc/passwd", "in/up/secret", "in/**/secret", "in"]);
  assert.deepEqual(files, ["./in", "./in/up", "./in/x"]);
  assert.match(said, /artifact path is not a subpath of project directory: \.\.\/secret/);
});

test("writeFileList() takes all of the project, but not the directory itself", async () => {
  file("a/b");
  assert.deepEqual((await list(["."])).files, ["./a", "./a/b"]);
});

test("writeFileList() leaves out names with a line break", async () => {
  file("out/plain");
  file("out/two\nlines");
  assert.deepEqual((await list(["out"])).files, ["./out", "./out/plain"]);
});

test("writeFileList() finds untracked files", async () => {
  file("tracked");
  file("ü/un tracked");
  const git = new ScriptBody().command("cd", project).command("git", "init", "-q").command("git", "add", "tracked");
  await bash(git);
  const { files, said } = await list([], { untracked: true, exclude: ["*.none"] });
  assert.deepEqual(files, ["./ü/un tracked"]);
  assert.equal(said, "untracked: found 1 files");
});

test("packCommand() packs names that look like options or escapes, and links as links", async () => {
  for (const path of ["out/--checkpoint", "out/a\\nb", "out/c d"]) file(path);
  symlinkSync("/etc/passwd", join(project, "out", "link"));
  await list(["out"]);
  const target = join(top, "target");
  mkdirSync(target);
  await bash(
    new ScriptBody()
      .command("cd", project)
      .line(`${packCommand(join(top, "list"))} > ${JSON.stringify(join(top, "x.tgz"))}`)
      .command("tar", "-x", "-z", "-f", join(top, "x.tgz"), "-C", target),
  );
  assert.equal(readFileSync(join(target, "out/a\\nb"), "utf8"), "out/a\\nb");
  assert.equal(readFileSync(join(target, "out/--checkpoint"), "utf8"), "out/--checkpoint");
  assert.throws(() => readFileSync(join(target, "out/link/x")));
});
