import { copyFile, mkdir, opendir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { capture } from "../process/capture.ts";

/** The largest pack that travels in a script. Bash needs about 15 times as much memory to read it. */
export const inlineLimitBytes = 32 * 1024 * 1024;

/** The sources of a pipeline, ready to travel inside a script. */
export interface Sources {
  /** The directory that becomes the project. */
  readonly root: string;
  readonly sha: string;
  /** The branch, or the first eight characters of the commit when there is none. */
  readonly ref: string;
  readonly isBranch: boolean;
  readonly title: string;
  readonly message: string;
  readonly author: string;
  readonly timestamp: string;
  readonly objectFormat: string;
  /** The path of the project on its server, such as `group/project`, when a remote tells it. */
  readonly remotePath: string | undefined;
  /** A Git pack in Base64 with the commits, no more of them than GIT_DEPTH asks for. */
  readonly pack: string;
  /** The lines of `.git/shallow`. */
  readonly shallow: string;
  /** A tree with the changes that are not committed yet, when there are any. */
  readonly changedTree: string | undefined;
  /** What the user is told about where the sources come from. */
  readonly note: string;
}

/** The one program that is called here, with its environment. */
export interface GitWorld {
  readonly environment: Readonly<Record<string, string>>;
  /** A private directory for this run. */
  readonly temporaryDir: string;
}

/**
 * Packs the repository that holds `directory`: its current commit, `depth` commits deep (0 for all), and the changes to
 * tracked files that are not committed yet, so that a pipeline can be tried before it is committed. Nothing is written
 * to the repository. A directory that is no repository, or has no commit, becomes a commit of its files for this run.
 * Throws `pipeline_invalid` when that is too much for a script, or when Git fails.
 */
export async function packSources(directory: string, depth: number, world: GitWorld): Promise<Sources> {
  const git = new Git(world);
  const work = join(world.temporaryDir, "sources.git");
  const top = await git.tryRun(directory, ["rev-parse", "--show-toplevel"]);
  const head =
    top === undefined ? undefined : await git.tryRun(directory, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
  const root = top ?? directory;
  if (head === undefined) return packFiles(git, root, work, top !== undefined);

  const objectFormat = (await git.tryRun(root, ["rev-parse", "--show-object-format"])) ?? "sha1";
  const absolute = async (name: string) => git.run(root, ["rev-parse", "--path-format=absolute", "--git-path", name]);
  const [objects, index, shallowFile] = [await absolute("objects"), await absolute("index"), await absolute("shallow")];
  await initBare(git, work, objectFormat);
  await writeFile(join(work, "objects", "info", "alternates"), `${objects}\n`, { mode: 0o600 });
  await copyIfThere(shallowFile, join(work, "shallow"));

  const changes = await commitChanges(git, { root, work, objects, index, head });
  const branch = await git.tryRun(root, ["symbolic-ref", "--short", "--quiet", "HEAD"]);
  const packed = await pack(
    git,
    work,
    changes?.commit ?? head,
    depth === 0 || changes === undefined ? depth : depth + 1,
  );
  const untracked = lines(
    await git.run(root, ["-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard"]),
  );
  const [title, author, timestamp] = lines(
    await git.run(root, ["log", "-1", "--format=%s%n%an <%ae>%n%cI", head]),
    true,
  );
  return {
    root,
    sha: head,
    ref: branch ?? head.slice(0, 8),
    isBranch: branch !== undefined,
    title: title ?? "",
    message: await git.run(root, ["log", "-1", "--format=%B", head]),
    author: author ?? "",
    timestamp: timestamp ?? "",
    objectFormat,
    remotePath: remotePath(await git.tryRun(root, ["remote", "get-url", "origin"])),
    ...packed,
    changedTree: changes?.tree,
    note: describe(root, head, changes?.files ?? 0, untracked),
  };
}

function describe(root: string, head: string, changed: number, untracked: readonly string[]): string {
  const files = (count: number, kind: string) => `${count} ${kind} ${count === 1 ? "file" : "files"}`;
  const changes = changed === 0 ? "" : `, with the uncommitted changes to ${files(changed, "tracked")}`;
  const shown = untracked.slice(0, 5).join(", ") + (untracked.length > 5 ? ", …" : "");
  const without =
    untracked.length === 0
      ? ""
      : `, without ${files(untracked.length, "untracked")}, as git add was not used on them: ${shown}`;
  return `Sources: ${root} at commit ${head.slice(0, 8)}${changes}${without}`;
}

interface Repository {
  readonly root: string;
  readonly work: string;
  readonly objects: string;
  readonly index: string;
  readonly head: string;
}

async function commitChanges(
  git: Git,
  repository: Repository,
): Promise<{ commit: string; tree: string; files: number } | undefined> {
  const index = join(repository.work, "index");
  await copyIfThere(repository.index, index);
  // New objects go to our own directory; the repository's are only read.
  const environment = {
    GIT_INDEX_FILE: index,
    GIT_OBJECT_DIRECTORY: join(repository.work, "objects"),
    GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(repository.objects),
  };
  await git.run(repository.root, ["add", "--update", "--", ":/"], environment);
  const tree = await git.run(repository.root, ["write-tree"], environment);
  const changed = lines(
    await git.run(repository.root, ["diff-tree", "-r", "--name-only", repository.head, tree], environment),
  );
  if (changed.length === 0) return undefined;
  const commit = await git.run(
    repository.root,
    ["commit-tree", tree, "-p", repository.head, "-m", "Changes that are not committed yet"],
    { ...environment, ...identity },
  );
  return { commit, tree, files: changed.length };
}

async function packFiles(git: Git, root: string, work: string, isRepository: boolean): Promise<Sources> {
  await checkSize(root);
  await initBare(git, work, "sha1");
  const environment = { GIT_DIR: work, GIT_WORK_TREE: root };
  await git.run(root, ["add", "--all", "--", "."], environment);
  const tree = await git.run(root, ["write-tree"], environment);
  const commit = await git.run(root, ["commit-tree", tree, "-m", "The files as they are"], {
    ...environment,
    ...identity,
  });
  const packed = await pack(git, work, commit, 0);
  const why = isRepository ? "has no commit yet" : "is no Git repository";
  return {
    root,
    sha: commit,
    ref: "main",
    isBranch: true,
    title: "The files as they are",
    message: "The files as they are",
    author: `${identity.GIT_AUTHOR_NAME} <${identity.GIT_AUTHOR_EMAIL}>`,
    timestamp: new Date().toISOString(),
    objectFormat: "sha1",
    remotePath: undefined,
    ...packed,
    changedTree: undefined,
    note: `Sources: ${root} ${why}, so its files became a commit for this run`,
  };
}

async function pack(git: Git, work: string, commit: string, depth: number): Promise<{ pack: string; shallow: string }> {
  await git.run(work, ["update-ref", "refs/heads/try", commit], { GIT_DIR: work });
  const ship = `${work}-ship`;
  const deep = depth > 0 ? ["--depth", String(depth)] : [];
  const url = `file://${work.split("/").map(encodeURIComponent).join("/")}`;
  await git.run(work, [
    "clone",
    "--quiet",
    "--bare",
    "--no-tags",
    "--single-branch",
    "--branch",
    "try",
    ...deep,
    "--",
    url,
    ship,
  ]);
  const directory = join(ship, "objects", "pack");
  const name = (await readdir(directory)).find((file) => file.endsWith(".pack"));
  if (name === undefined) throw new JacamarError("pipeline_invalid", `Cannot pack the sources: Git made no pack`);
  const file = join(directory, name);
  const { size } = await stat(file);
  if (size > inlineLimitBytes) throw tooLarge(`The repository takes ${mebibytes(size)} packed`);
  const shallow = await readFile(join(ship, "shallow"), "utf8").catch((error: unknown) => {
    if (systemErrorCode(error) === "ENOENT") return "";
    throw error;
  });
  return { pack: (await readFile(file)).toString("base64"), shallow };
}

/** Refuses a directory that is plainly too large before Git reads it all. */
async function checkSize(root: string): Promise<void> {
  let [bytes, files] = [0, 0];
  const open = [root];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    for await (const one of await opendir(directory)) {
      const path = join(directory, one.name);
      if (one.isDirectory() && one.name !== ".git") open.push(path);
      if (!one.isFile()) continue;
      files += 1;
      bytes += (await stat(path)).size;
      if (files > 20_000 || bytes > 4 * inlineLimitBytes)
        throw tooLarge(`${root} holds more than ${files - 1} files or ${mebibytes(bytes)}`);
    }
  }
}

function tooLarge(what: string): JacamarError {
  return new JacamarError(
    "pipeline_invalid",
    `${what}, but no more than ${mebibytes(inlineLimitBytes)} can travel in a script`,
    {
      hint: "Try it in a smaller repository, with the variable GIT_DEPTH: 1, or without sources with GIT_STRATEGY: none",
    },
  );
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

const identity = {
  GIT_AUTHOR_NAME: "jacamar try",
  GIT_AUTHOR_EMAIL: "try@localhost",
  GIT_COMMITTER_NAME: "jacamar try",
  GIT_COMMITTER_EMAIL: "try@localhost",
};

async function initBare(git: Git, directory: string, objectFormat: string): Promise<void> {
  await mkdir(directory, { mode: 0o700, recursive: true });
  const format = objectFormat === "sha1" ? [] : [`--object-format=${objectFormat}`];
  await git.run(directory, ["init", "--quiet", "--bare", "--template=", ...format, "--", directory]);
  await mkdir(join(directory, "objects", "info"), { recursive: true });
}

async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}

function remotePath(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  const path = /^(?:[a-z+]+:\/\/[^/]+\/|[^/:]+@[^/:]+:)(.+?)(?:\.git)?\/?$/.exec(url)?.[1];
  return path !== undefined && /^[A-Za-z0-9_][\w.-]*(?:\/[A-Za-z0-9_][\w.-]*)+$/.test(path) && !path.includes("..")
    ? path
    : undefined;
}

function lines(text: string, keepEmpty = false): string[] {
  return text.split("\n").filter((line) => keepEmpty || line !== "");
}

class Git {
  readonly #world: GitWorld;

  constructor(world: GitWorld) {
    this.#world = world;
  }

  /** Git's output without the last line break. Throws `pipeline_invalid` with what Git said. */
  async run(
    directory: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const result = await this.#call(directory, args, environment);
    if ("exitCode" in result.ending && result.ending.exitCode === 0) return result.stdout.replace(/\n$/, "");
    throw new JacamarError(
      "pipeline_invalid",
      `Cannot pack the sources: git ${args[0] ?? ""} failed: ${result.stderr.trim()}`,
    );
  }

  /** The same, or undefined when Git exits with another code than 0. */
  async tryRun(directory: string, args: readonly string[]): Promise<string | undefined> {
    const result = await this.#call(directory, args, {});
    if (/dubious ownership/.test(result.stderr)) throw new JacamarError("pipeline_invalid", result.stderr.trim());
    return "exitCode" in result.ending && result.ending.exitCode === 0 ? result.stdout.replace(/\n$/, "") : undefined;
  }

  async #call(directory: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    const own = Object.entries(this.#world.environment).filter(([key]) => !key.startsWith("GIT_"));
    try {
      return await capture(
        {
          argv: ["git", ...args],
          environment: { ...Object.fromEntries(own), GIT_TERMINAL_PROMPT: "0", LC_ALL: "C.UTF-8", ...environment },
          workingDirectory: directory,
        },
        { timeoutSeconds: 120 },
      );
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") throw error;
      throw new JacamarError("pipeline_invalid", "Git is needed to hand the sources to the job, but it was not found", {
        hint: "Install git, or try it without sources with the variable GIT_STRATEGY: none",
        cause: error,
      });
    }
  }
}

/** The top of the Git repository that holds the directory, or the directory itself. */
export async function projectRoot(directory: string, world: GitWorld): Promise<string> {
  try {
    return (await new Git(world).tryRun(directory, ["rev-parse", "--show-toplevel"])) ?? directory;
  } catch (error) {
    // A pipeline without sources needs no Git; the others hear of it when they are packed.
    if (error instanceof JacamarError) return directory;
    throw error;
  }
}
