import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { afterEach, beforeEach } from "node:test";
import { capture } from "../process/capture.ts";
import { packSources, projectRoot } from "./sources.ts";
import { getSources } from "./stage-scripts.ts";

let top = "";
let repository = "";
let world = { environment: {}, temporaryDir: "" };
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "sources-test-")));
  repository = join(top, "my repository");
  mkdirSync(repository);
  mkdirSync(join(top, "tmp"));
  const environment = { PATH: process.env["PATH"] ?? "", HOME: top };
  world = { environment, temporaryDir: join(top, "tmp") };
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

async function run(...argv: [string, ...string[]]): Promise<string> {
  const result = await capture(
    { argv, environment: { ...world.environment }, workingDirectory: repository },
    { timeoutSeconds: 20 },
  );
  assert.deepEqual(result.ending, { exitCode: 0 }, result.stderr);
  return result.stdout.trim();
}

function git(...args: string[]): Promise<string> {
  return run("git", "-c", "user.name=x", "-c", "user.email=x@x", ...args);
}

function file(path: string, content: string): void {
  writeFileSync(join(repository, path), content);
}

async function commit(message: string): Promise<string> {
  await git("add", "--all");
  await git("commit", "-q", "-m", message);
  return git("rev-parse", "HEAD");
}

/** Runs get_sources and returns the directory that it made. */
async function checkOut(depth = 20): Promise<string> {
  world = { ...world, temporaryDir: mkdtempSync(join(top, "tmp-")) };
  const sources = await packSources(repository, depth, world);
  const projectDir = join(top, "builds", "group", "p");
  const script = join(top, "script");
  const context = { variables: [], projectDir, temporaryDir: `${projectDir}.tmp` };
  const options = { strategy: "fetch", depth, repositoryUrl: "https://gitlab.invalid/g/p.git", preGetSources: [] };
  writeFileSync(script, getSources(context, sources, options));
  await run("bash", script);
  return projectDir;
}

function at(directory: string, ...args: string[]): Promise<string> {
  return run("git", "-C", directory, ...args);
}

test("packSources() brings the commit, as many as asked for, under the branch's name", async () => {
  await git("init", "-q", "-b", "feature/x");
  for (const number of [1, 2, 3]) {
    file("a.txt", String(number));
    await commit(`commit ${number}`);
  }
  const head = await git("rev-parse", "HEAD");
  const project = await checkOut(2);
  assert.equal(await at(project, "rev-parse", "HEAD"), head);
  assert.equal(await at(project, "rev-parse", "refs/remotes/origin/feature/x"), head);
  assert.equal(await at(project, "rev-list", "--count", "HEAD"), "2");
  assert.equal(await at(project, "status", "--porcelain"), "");
  assert.equal(readFileSync(join(project, "a.txt"), "utf8"), "3");
  await checkOut(0);
  assert.equal(await at(project, "rev-list", "--count", "HEAD"), "3");
});

test("packSources() brings changes that are not committed, and leaves the repository as it was", async () => {
  await git("init", "-q");
  for (const name of ["kept", "changed", "removed", "mode"]) file(name, name);
  const head = await commit("first");
  file("changed", "new");
  rmSync(join(repository, "removed"));
  await run("chmod", "+x", "mode");
  file("staged", "staged");
  await git("add", "staged");
  file("untracked", "untracked");
  const objects = await run("find", ".git", "-type", "f");
  const status = await git("status", "--porcelain");

  const project = await checkOut();
  assert.equal(await at(project, "rev-parse", "HEAD"), head);
  assert.deepEqual(
    readdirSync(project).filter((name) => name !== ".git"),
    ["changed", "kept", "mode", "staged"],
  );
  assert.equal(readFileSync(join(project, "changed"), "utf8"), "new");
  assert.equal(await run("test", "-x", join(project, "mode")), "");
  assert.equal(await git("status", "--porcelain"), status);
  assert.equal(await run("find", ".git", "-type", "f"), objects);

  const { note } = await packSources(repository, 20, { ...world, temporaryDir: mkdtempSync(join(top, "tmp-")) });
  assert.match(note, /uncommitted changes to 4 tracked files, without 1 untracked file, .*: untracked$/);
});

test("packSources() fills a work tree that an earlier run left, whatever the job did to it", async () => {
  await git("init", "-q");
  file("a", "1");
  await commit("first");
  const project = await checkOut();
  writeFileSync(join(project, "a"), "the job's");
  writeFileSync(join(project, "left"), "over");
  writeFileSync(join(project, ".git", "index.lock"), "");
  file("a", "2");
  await commit("second");
  await checkOut();
  assert.equal(readFileSync(join(project, "a"), "utf8"), "2");
  assert.deepEqual(readdirSync(project).toSorted(), [".git", "a"]);
});

test("packSources() makes a commit of a directory that is no repository or has no commit", async () => {
  file("a", "1");
  file(".gitignore", "ignored\n");
  file("ignored", "x");
  const project = await checkOut();
  assert.deepEqual(readdirSync(project).toSorted(), [".git", ".gitignore", "a"]);
  assert.deepEqual(readdirSync(repository).toSorted(), [".gitignore", "a", "ignored"]);
  await git("init", "-q");
  file("b", "2");
  assert.equal(readFileSync(join(await checkOut(), "b"), "utf8"), "2");
});

test("packSources() reads a shallow clone, a subdirectory and the path of the remote", async () => {
  await git("init", "-q");
  for (const number of [1, 2, 3]) {
    file("a", String(number));
    await commit(String(number));
  }
  const origin = repository;
  repository = join(top, "clone");
  mkdirSync(repository);
  await git("clone", "-q", "--depth", "1", `file://${origin}`, ".");
  await git("remote", "set-url", "origin", "git@gitlab.example.com:group/sub/project.git");
  mkdirSync(join(repository, "deep"));
  const sources = await packSources(join(repository, "deep"), 20, world);
  assert.equal(sources.remotePath, "group/sub/project");
  assert.equal(sources.root, repository);
  assert.equal(await projectRoot(join(repository, "deep"), world), repository);
  await checkOut();
});

test("packSources() refuses what is too large, and says what to do", async () => {
  await run("truncate", "-s", "200M", "big");
  await assert.rejects(packSources(repository, 20, world), {
    code: "pipeline_invalid",
    message: /no more than 32\.0 MiB can travel/,
  });
});
