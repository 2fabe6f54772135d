import { existsSync } from "node:fs";
import type { JobLog } from "../log/job-log.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { forgetArchive } from "../podman/archive.ts";
import { forgetJob } from "../podman/archive-files.ts";
import { failureText, type PodmanClient, succeeded } from "../podman/client.ts";
import { capture } from "../process/capture.ts";
import { removeContainers } from "../podman/containers.ts";
import { openPodman } from "../podman/open.ts";
import { makeRuntimeDirectory } from "../podman/surroundings.ts";
import { endJobProcesses } from "../process/job-processes.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { isThere, removeTree } from "../workspace/directories.ts";
import { workTrees } from "../workspace/work-trees.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import { bashEnvironment } from "../mechanism/bash.ts";
import { planImages } from "../mechanism/podman/image-plan.ts";
import type { StageContext } from "./context.ts";
import { jobMarks } from "./job-marks.ts";
import { archivesDirectory, directoryRules, isBatch, loginName } from "./job-files.ts";
import { readPrepared } from "./prepared.ts";
import { type JobState, unpackState } from "./state.ts";

/**
 * The cleanup stage: ends what is left of the job and removes its files. It needs nothing of the earlier stages but the
 * state; it may come without it, before them, twice, or beside a run stage that is still being ended
 * (facts/gitlab-runner.md, traps 7, 11 and 29).
 *
 * Does all that it can, then throws the first thing that could not be done.
 */
export async function runCleanup(context: StageContext, log: JobLog): Promise<void> {
  const state = unpackState(context.environment);
  // The config stage makes nothing, so when it failed there is nothing to do.
  if (!state) return;
  if (!hasBase(context, state)) return;
  // The runner may have removed its files, or lost them. What the job has left is found without them, as a rule.
  const job = context.files.job instanceof JacamarError ? undefined : context.files.job;
  const failures: unknown[] = [];
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  };
  if (isBatch(state.config)) await attempt(() => endBatch(context, state, job, log));
  const mayRun = failures.some((failure) => failure instanceof JacamarError && failure.code === "batch_left");
  const containers = usesContainers(state, job);
  const { measure } = context;
  const clean = () => measure.step("containers", () => cleanContainers(context, state, log));
  if (containers) await attempt(clean);
  let ended = 0;
  await attempt(async () => {
    ended = await measure.step("processes", () => endProcesses(context, state, job, log));
  });
  // A Podman client that has just been killed may have made a container after the first look.
  if (containers && ended > 0) await attempt(clean);
  await measure.step("files", async () => {
    const isStatic = state.config.general.static_builds_dir;
    const builds = isStatic ? await import("./static-builds.ts") : undefined;
    const ownsBuilds = builds?.ownsBuilds(state) ?? true;
    // Prepare makes the private directory after the builds directory: without the one, the job has not come to the other.
    const hasTrees = ownsBuilds && existsSync(state.workspace.privateDir);
    const trees = hasTrees ? workTrees(state.workspace, context.variables.get("RUNNER_TEMP_PROJECT_DIR")) : [];
    if (containers && !mayRun) for (const tree of trees) await attempt(() => takeBack(tree, context, state));
    for (const path of filesToRemove(state, trees, mayRun)) await attempt(() => removeFile(path, context, state));
    // A job that may be at work keeps its image and its lease as long as the CI job could live.
    if (mayRun) return;
    if (containers) await attempt(() => leaveArchives(context, state));
    if (builds) await attempt(() => leaveBuilds(builds, context, state, log));
  });
  if (mayRun) {
    log.say(
      `A job of the scheduler may still run, so its files stay in "${state.workspace.scriptsDir}". "jacamar reap" ends it and removes them when the time of the CI job is over`,
    );
  }
  if (failures.length > 0) throw failures[0];
}

async function endBatch(context: StageContext, state: JobState, job: Job | undefined, log: JobLog): Promise<void> {
  const { endBatchJobs } = await import("./batch-cleanup.ts");
  const ended = await endBatchJobs(context, state, job);
  if (ended > 0) log.say(`Cancelled ${ended} job(s) of the scheduler that the CI job had left`);
}

/** Without the user's base directory, or with one that no job may use, prepare has made nothing. */
function hasBase(context: StageContext, { workspace, config }: JobState): boolean {
  try {
    return isThere(workspace.base, workspace.base, directoryRules(config, context.account));
  } catch (error) {
    if (error instanceof JacamarError) return false;
    throw error;
  }
}

/**
 * Gives the work tree back to the user: root of a container, who the user is, may have given files of it to other users of the
 * container (tar does), and those are subordinate ids outside, under which no later job can remove them.
 */
async function takeBack(tree: string, context: StageContext, state: JobState): Promise<void> {
  const { workspace, config } = state;
  const { buildsBase, buildsDir } = workspace;
  const rules = directoryRules(config, context.account);
  const { uid } = context.account;
  if (!isThere(buildsBase, buildsDir, rules)) return;
  // The way to the work tree first: where that was given away, nothing can be said of the tree.
  const depth = tree.slice(buildsDir.length).split("/").length - 1;
  const way = await hasForeignFiles(buildsDir, uid, ["-maxdepth", String(depth)]);
  const within = !way && isThere(buildsBase, tree, rules) && (await hasForeignFiles(tree, uid, []));
  if (!way && !within) return;
  const path = way ? buildsDir : tree;
  const podman = await openPodmanAgain(context, state);
  const given = await podman.ask(["unshare", "chown", "-R", "-h", "0:0", "--", path], { timeoutSeconds: 600 });
  if (!succeeded(given.ending)) {
    throw new JacamarError(
      "directory_failed",
      `Cannot give the files in "${path}" back to you: ${failureText(given)}`,
      {
        hint: `Later jobs may fail to remove them. By hand: podman unshare chown -R 0:0 ${path}`,
      },
    );
  }
}

/** Whether a file at or below a directory belongs to somebody else; the first one ends the search. */
async function hasForeignFiles(path: string, uid: number, depth: readonly string[]): Promise<boolean> {
  const look = await capture(
    {
      argv: ["find", path, ...depth, "-xdev", "!", "-user", String(uid), "-print", "-quit"],
      environment: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
      workingDirectory: "/",
    },
    { timeoutSeconds: 120 },
  );
  return look.stdout !== "";
}

async function cleanContainers(context: StageContext, state: JobState, log: JobLog): Promise<void> {
  // Without a private directory no Podman command of this job has run.
  if (!existsSync(state.workspace.privateDir)) return;
  const podman = await openPodmanAgain(context, state);
  const removed = await removeAll(podman, state);
  if (removed > 0) log.say(`Removed ${removed} container(s) that the job had left`);
  const image = readPrepared(state.workspace)?.userImage;
  if (image?.archive !== undefined) await forgetArchive(image.archive, image.id, podman);
}

async function removeAll(podman: PodmanClient, { jobKey, config }: JobState): Promise<number> {
  try {
    return await removeContainers(podman, jobKey, config.general.podman.disable_container_removal);
  } catch (error) {
    // A Podman that cannot be started has made no container: prepare has said so.
    if (error instanceof JacamarError && error.code === "podman_missing") return 0;
    throw error;
  }
}

/** What is left now had its time: the grace is short. */
const longestGraceSeconds = 5;

async function endProcesses(
  context: StageContext,
  state: JobState,
  job: Job | undefined,
  log: JobLog,
): Promise<number> {
  const marks = jobMarks(context, state, job);
  const graceSeconds = Math.min(longestGraceSeconds, state.config.general.kill_timeout);
  const { found, left } = await endJobProcesses(marks, graceSeconds);
  if (left.length > 0) {
    throw new JacamarError("process_left", `Processes of the job could not be ended: ${left.join(", ")}`);
  }
  if (found > 0) log.say(`Ended ${found} process(es) that the job had left`);
  return found;
}

/** A job that is refused has never reached Podman. */
function usesContainers(state: JobState, job: Job | undefined): boolean {
  if (!job) return state.config.general.run_mechanism === "podman";
  try {
    return planImages(job, state.config, undefined).user !== undefined;
  } catch {
    return false;
  }
}

async function leaveBuilds(
  { leaveStaticBuilds }: typeof import("./static-builds.ts"),
  context: StageContext,
  state: JobState,
  log: JobLog,
): Promise<void> {
  const removed = await leaveStaticBuilds(state, (path) => removeFile(path, context, state));
  const { static_dir_retention: days } = state.config.general;
  if (removed > 0)
    log.say(`Removed ${removed} builds director${removed === 1 ? "y" : "ies"} without a job for ${days} days`);
}

/** @param mayRun by what stays, a job of the scheduler that could not be ended is found again; secrets go in any case. */
function filesToRemove({ workspace, config }: JobState, trees: readonly string[], mayRun: boolean): string[] {
  const { privateDir, scriptsDir } = workspace;
  const scripts =
    config.general.retain_logs || mayRun
      ? [`${scriptsDir}/auth.json`, `${scriptsDir}/registry-auth.json`]
      : [scriptsDir];
  // The private directory is what Podman needs for the others.
  return [...trees.map((tree) => `${tree}.tmp`), ...scripts, ...(mayRun ? [] : [privateDir])];
}

/** Other jobs may need the archive; that this one does is over, and what it was still making is of no use. */
async function leaveArchives(context: StageContext, { config, workspace, jobKey }: JobState): Promise<void> {
  const directory = archivesDirectory(workspace);
  if (isThere(workspace.base, directory, directoryRules(config, context.account))) forgetJob(directory, jobKey);
}

async function removeFile(path: string, context: StageContext, state: JobState): Promise<void> {
  const { workspace, config } = state;
  const base = path.startsWith(`${workspace.buildsBase}/`) ? workspace.buildsBase : workspace.base;
  if (!isThere(base, path, directoryRules(config, context.account)) || removeTree(path) === undefined) return;
  // Files that another user of a container has made belong to a subordinate id, which only Podman can act for.
  if (config.general.run_mechanism === "podman") {
    const podman = await openPodmanAgain(context, state);
    const removed = await podman.ask(["unshare", "rm", "-rf", "--", path], { timeoutSeconds: 300 });
    if (succeeded(removed.ending)) return;
  }
  const left = removeTree(path);
  if (left) {
    throw new JacamarError("directory_failed", `Cannot remove "${path}": ${left.message}`, {
      hint: "Remove it by hand: it holds files of a CI job.",
    });
  }
}

async function openPodmanAgain(context: StageContext, state: JobState) {
  const { config, workspace } = state;
  const prepared = readPrepared(workspace);
  if (prepared) return openPodman(config, workspace, prepared.environment, prepared.runtimeDirectory);
  const { shellPath, beginning } = cleanBash(state, context.account);
  const command = {
    argv: bashEnvironment(shellPath, shellProfile(context.variables), loginName(workspace)),
    environment: beginning,
    workingDirectory: workspace.base,
  };
  const login = await readLoginEnvironment(command, context.stop).catch((error: unknown) => {
    // Prepare has said so, and runs no container without a login. What an earlier look would find is looked for all the same.
    if (error instanceof JacamarError && error.code === "shell_failed") return beginning;
    throw error;
  });
  return openPodman(config, workspace, login, makeRuntimeDirectory(context.account, workspace.base));
}
