import { archivePrograms, packCommand, writeFileList } from "./archive-script.ts";
import type { ArtifactsDefinition } from "./storage-definition.ts";
import type { PayloadMarkers } from "./payload-stream.ts";
import { frame, ScriptBody, type ScriptContext, temporaryFile, writeCommands, writeExports } from "./script.ts";
import { shellEscape } from "./shell-escape.ts";
import type { Sources } from "./sources.ts";
import { valueOf } from "./variables.ts";

/** A cache entry with its keys expanded: the file of each key, the main one first. */
export interface CachePlan {
  readonly keys: readonly { readonly key: string; readonly file: string }[];
  readonly paths: readonly string[];
  readonly untracked: boolean;
}

/** The artifacts of an earlier job, as they travel in the script. */
export interface Download {
  readonly job: string;
  readonly id: number;
  readonly base64: string;
}

/** `prepare_script`: says where the job runs, and forgets what an earlier job left in the GITLAB_ENV file. */
export function prepareScript(context: ScriptContext, hostname: string | undefined): string {
  const body = new ScriptBody();
  const via = hostname === undefined ? "" : ` via ${hostname}`;
  body.line(`echo "Running on $(hostname)"${shellEscape(`${via}...`)}`);
  body.removeFile(temporaryFile(context, "gitlab_runner_env"), temporaryFile(context, "masking.db"));
  return framed(body, context);
}

/**
 * `get_sources`: makes the work tree from the pack in the script, so that it needs no way back to where the repository
 * lies: the stage may run as somebody else, or in a container that has only the job's own directories.
 */
export function getSources(
  context: ScriptContext,
  sources: Sources | undefined,
  options: { strategy: string; repositoryUrl: string; depth: number; preGetSources: readonly string[] },
): string {
  const body = new ScriptBody();
  writeExports(body, context, { writeFiles: true });
  if (options.strategy === "empty") {
    body.notice("Skipping Git repository setup and creating an empty build directory");
    removeDirectory(body, context.projectDir);
    body.command("mkdir", "-p", context.projectDir);
    return framed(body.notice("Skipping Git checkout").notice("Skipping Git submodules setup"), context);
  }
  if (options.strategy === "none" || sources === undefined) {
    body.notice("Skipping Git repository setup");
    body.command("mkdir", "-p", context.projectDir);
    return framed(body.notice("Skipping Git checkout").notice("Skipping Git submodules setup"), context);
  }
  for (const line of ["GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=Never", "GIT_LFS_SKIP_SMUDGE=1"])
    body.line(`export ${line}`);
  writeCommands(body, options.preGetSources);
  writeCheckout(body, context, sources, options);
  body.notice("Skipping Git submodules setup");
  return framed(body, context);
}

function writeCheckout(
  body: ScriptBody,
  context: ScriptContext,
  sources: Sources,
  options: { strategy: string; repositoryUrl: string; depth: number },
): void {
  const project = context.projectDir;
  writeGitCleanup(body, context);
  const template = temporaryFile(context, "git-template");
  body.command("mkdir", "-p", template);
  for (const [key, value] of [
    ["init.defaultBranch", "none"],
    ["fetch.recurseSubmodules", "false"],
    ["credential.interactive", "never"],
    ["gc.autoDetach", "false"],
  ] as const) {
    body.command("git", "config", "-f", `${template}/config`, key, value);
  }
  if (options.strategy === "clone") removeDirectory(body, project);
  body.notice(options.depth > 0 ? `Fetching changes with git depth set to ${options.depth}...` : "Fetching changes...");
  const format = sources.objectFormat === "sha1" ? [] : ["--object-format", sources.objectFormat];
  body.command("git", "init", "--quiet", project, "--template", template, ...format);
  body.command("cd", project);
  body.line(`if git remote add origin ${shellEscape(options.repositoryUrl)} >/dev/null 2>&1 ; then`);
  body.notice("Created fresh repository.");
  body.line("else");
  body.command("git", "remote", "set-url", "origin", options.repositoryUrl);
  body.line("fi");
  body.payload(sources.pack, "git index-pack --stdin >/dev/null");
  if (sources.shallow === "") body.removeFile(".git/shallow");
  else body.line(`printf '%s' ${shellEscape(sources.shallow)} > .git/shallow`);
  if (sources.isBranch) body.command("git", "update-ref", `refs/remotes/origin/${sources.ref}`, sources.sha);
  body.notice(`Checking out ${sources.sha.slice(0, 8)} as detached HEAD (ref is ${sources.ref})...`);
  body.command("git", "-c", "submodule.recurse=false", "checkout", "-f", "-q", sources.sha);
  const flags = valueOf(context.variables, "GIT_CLEAN_FLAGS").trim() || "-ffdx";
  if (flags !== "none") body.command("git", "clean", ...flags.split(/\s+/));
  if (sources.changedTree !== undefined) {
    body.command("git", "read-tree", "-m", "-u", "HEAD", sources.changedTree);
    body.command("git", "reset", "-q");
  }
}

/** `clear_worktree`: what comes before the second attempt of get_sources. */
export function clearWorktree(context: ScriptContext): string {
  const body = new ScriptBody();
  body.notice("Deleting tracked and untracked files...");
  body.line(`if [ -d ${shellEscape(context.projectDir)} ]; then`);
  body.command("cd", context.projectDir);
  body.command("git", "rm", "-rf", "--ignore-unmatch", "--quiet", ".");
  body.command("git", "clean", "-ffdx", "-q");
  body.line("fi");
  return framed(body, context);
}

/** `build_script` and other steps: the user's own commands in the project directory. */
export function userScript(context: ScriptContext, commands: readonly string[]): string {
  const body = inProject(context);
  writeCommands(body, commands);
  return framed(body, context);
}

/** `after_script`. */
export function afterScript(context: ScriptContext, commands: readonly string[]): string {
  const body = inProject(context);
  body.notice("Running after script...");
  writeCommands(body, commands);
  return framed(body, context);
}

/** `restore_cache`: the first of the keys that has an archive. Nothing here fails the job. */
export function restoreCache(context: ScriptContext, caches: readonly CachePlan[]): string {
  const body = inProject(context);
  for (const cache of caches) {
    if (cache.keys.length === 0) continue;
    body.whenInstalled(["tar", "gzip"], "Extracting cache", () => {
      for (const { key, file } of cache.keys) {
        body.notice(`Checking cache for ${key}...`);
        body.line(`if [ -f ${shellEscape(file)} ] && tar -x -o -z -f ${shellEscape(file)} ; then`);
        body.notice("Successfully extracted cache");
        body.line("else");
        body.warning("Failed to extract cache");
      }
      for (const _ of cache.keys) body.line("fi");
    });
  }
  return framed(body, context);
}

/** `archive_cache` and `archive_cache_on_failure`. Nothing here fails the job. */
export function archiveCache(context: ScriptContext, caches: readonly CachePlan[], notes: readonly string[]): string {
  const body = inProject(context);
  for (const note of notes) body.notice(note);
  for (const [index, cache] of caches.entries()) {
    const [main] = cache.keys;
    if (main === undefined) continue;
    const list = temporaryFile(context, `cache-${index}.list`);
    const partial = `${main.file}.new`;
    body.whenInstalled(archivePrograms, "Creating cache", () => {
      body.notice(`Creating cache ${main.key}...`);
      writeFileList(body, { paths: cache.paths, exclude: [], untracked: cache.untracked }, context.projectDir, list);
      body.line(`if [ ! -s ${shellEscape(list)} ]; then`);
      body.warning("No files to cache.");
      const steps = [
        `mkdir -p ${shellEscape(parent(main.file))}`,
        `${packCommand(list)} > ${shellEscape(partial)}`,
        `mv -f ${shellEscape(partial)} ${shellEscape(main.file)}`,
      ];
      body.line(`elif ${steps.join(" && ")} ; then`);
      body.notice("Created cache");
      body.line("else");
      body.warning("Failed to create cache");
      body.line("fi");
      body.removeFile(list, partial);
    });
  }
  return framed(body, context);
}

/** `download_artifacts`: the archives of earlier jobs, which travel in the script. */
export function downloadArtifacts(context: ScriptContext, downloads: readonly Download[]): string {
  const body = inProject(context);
  body.whenInstalled(["tar", "gzip", "base64"], "Artifacts downloading", () => {
    for (const download of downloads) {
      body.notice(`Downloading artifacts for ${download.job} (${download.id})...`);
      body.payload(download.base64, "tar -x -o -z -f -");
    }
  });
  return framed(body, context);
}

/** `upload_artifacts_on_success` and `…_on_failure`: prints the archive between two marker lines. */
export function uploadArtifacts(
  context: ScriptContext,
  artifacts: ArtifactsDefinition,
  markers: PayloadMarkers,
): string {
  const body = inProject(context);
  const list = temporaryFile(context, "artifacts.list");
  body.whenInstalled([...archivePrograms, "base64"], "Uploading artifacts", () => {
    body.notice("Uploading artifacts...");
    writeFileList(body, artifacts, context.projectDir, list);
    body.line(`if [ -s ${shellEscape(list)} ]; then`);
    body.line(`printf '%s\\n' ${shellEscape(markers.begin)}`);
    body.line(`${packCommand(list)} | base64`);
    body.line(`printf '%s\\n' ${shellEscape(markers.end)}`);
    body.line("else");
    body.error("ERROR: No files to upload");
    body.line("fi");
    body.removeFile(list);
  });
  return framed(body, context);
}

/** `cleanup_file_variables`. */
export function cleanupFileVariables(context: ScriptContext): string {
  const body = new ScriptBody();
  writeExports(body, context, { writeFiles: false });
  const files = context.variables.filter((one) => one.file).map((one) => one.key);
  body.removeFile(...["gitlab_runner_env", "masking.db", ...files].map((name) => temporaryFile(context, name)));
  writeGitCleanup(body, context);
  return framed(body, context);
}

function inProject(context: ScriptContext): ScriptBody {
  const body = new ScriptBody();
  writeExports(body, context, { writeFiles: true });
  return body.command("cd", context.projectDir);
}

/** Locks that a killed job left, and configuration and hooks with which one job could run code in the next. */
function writeGitCleanup(body: ScriptBody, context: ScriptContext): void {
  const git = `${context.projectDir}/.git`;
  body.removeFile(
    ...["index.lock", "shallow.lock", "HEAD.lock", "hooks/post-checkout", "config.lock"].map(
      (name) => `${git}/${name}`,
    ),
  );
  for (const directory of [temporaryFile(context, "git-template"), git]) {
    body.removeFile(`${directory}/config`);
    body.command("rm", "-r", "-f", `${directory}/hooks`);
  }
}

function removeDirectory(body: ScriptBody, directory: string): void {
  body.line(`if [ -d ${shellEscape(directory)} ]; then`);
  body.command("chmod", "-R", "u+rwX", directory);
  body.line("fi");
  body.command("rm", "-r", "-f", directory);
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function framed(body: ScriptBody, context: ScriptContext): string {
  return frame(body, { trace: /^(?:true|1)$/i.test(valueOf(context.variables, "CI_DEBUG_TRACE")) });
}
