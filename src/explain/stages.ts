import type { Account } from "../account/account.ts";
import { allowlistOf } from "../command/allowlist.ts";
import { schedulerOf } from "../command/batch.ts";
import { type BatchPlan, planBatch } from "../command/batch-plan.ts";
import { requireContainerCalls } from "../command/container-calls.ts";
import { containerSpec } from "../command/container-spec.ts";
import { hostCommand } from "../command/host-command.ts";
import { archiveFormat, isBatch, registryAuthFile } from "../command/job-files.ts";
import type { PreparedImage } from "../command/prepared.ts";
import type { JobState } from "../command/state.ts";
import { userVolumes } from "../command/user-volumes.ts";
import type { Answer } from "../executor/batch/scheduler.ts";
import type { Job } from "../gitlab/job.ts";
import { type Stage, toStage } from "../gitlab/stage.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import { runArguments } from "../mechanism/podman/command.ts";
import { imageOfStage, type ImagePlan, type JobImages, planImages } from "../mechanism/podman/image-plan.ts";
import { pullArguments } from "../podman/images.ts";
import { callFilter } from "../seccomp/filter.ts";
import { shownCommand } from "./shown-command.ts";

/** A job whose stages are explained. */
export interface ExplainedJob {
  readonly state: JobState;
  readonly job: Job;
  readonly account: Account;
  readonly variables: UserVariables;
}

/** The stages that GitLab Runner sends, in its order (facts/gitlab-runner.md, 1.6). */
const usualStages =
  "prepare_script get_sources restore_cache download_artifacts build_script after_script archive_cache upload_artifacts_on_success cleanup_file_variables".split(
    " ",
  );

/**
 * Where each stage runs, and the commands of some, as lines. They come from the code that a job runs by; what only pulling
 * an image could tell stands in capitals.
 *
 * Throws what refuses the job before anything runs: `config_invalid`, `image_refused`, `volume_invalid`, `batch_arguments_invalid` and the
 * like.
 */
export async function explainStages(what: ExplainedJob, wanted: readonly string[]): Promise<string[]> {
  const { state, job } = what;
  const images = planImages(job, state.config, await allowlistOf(state.config));
  requireContainerCalls(images, callFilter(state.config.auth?.seccomp));
  if (images.user) userVolumes({ variables: what.variables }, state);
  const lines = ["", "Stages"];
  for (const name of new Set([...usualStages, ...wanted])) {
    lines.push(`  ${name.padEnd(28)} ${placeOf(what, images, toStage(name))}`);
  }
  lines.push(...prepareLines(what, images));
  const shown = wanted.length === 0 ? ["build_script", "after_script"] : wanted;
  for (const name of shown) lines.push("", name, ...(await commandLines(what, images, toStage(name))));
  return lines;
}

function placeOf({ state }: ExplainedJob, images: JobImages, stage: Stage): string {
  const image = imageOfStage(images, stage);
  const how = image ? `in a container of ${image.name}` : "in Bash";
  const onNode = stage.isStep && isBatch(state.config);
  return onNode ? `as a job of ${schedulerOf(state.config).title}, ${how}` : `on this machine, ${how}`;
}

function prepareLines({ state, job, variables }: ExplainedJob, images: JobImages): string[] {
  const plans = [images.user, images.runner].filter((plan) => plan !== undefined);
  if (plans.length === 0) return [];
  const { podman } = state.config.general;
  const program = podman.application_path ?? "podman";
  const authFile = registryAuthFile(variables, job, state.workspace).path;
  const format = archiveFormat(state.config);
  return [
    "",
    "prepare",
    ...(podman.prep_script === undefined ? [] : [`  ${podman.prep_script}`]),
    ...plans.flatMap((plan) => [
      `  # ${plan.role === "user" ? "the job's" : "the runner's"} image, pull policy ${plan.pullPolicies.join(", ")}`,
      ...(plan.pullPolicies.every((policy) => policy === "never")
        ? []
        : [`  ${shownCommand([program, ...pullArguments(plan, authFile)])}`]),
    ]),
    ...(format === "none" ? [] : [`  # the user's image is archived as ${format}`]),
  ];
}

async function commandLines(what: ExplainedJob, images: JobImages, stage: Stage): Promise<string[]> {
  const { state, job } = what;
  const image = imageOfStage(images, stage);
  const script = `${state.workspace.scriptsDir}/${stage.fileName}.bash`;
  if (stage.isStep && isBatch(state.config)) {
    const plan = planBatch({ context: what, state, job, stage, image, script }, image && unknownImage(state));
    return await batchLines(state, plan);
  }
  if (!image) return [`  ${shownCommand(hostCommand(state, what, script).argv)}`];
  return [`  ${shownCommand([podmanOf(state), ...containerArguments(what, stage, image, script)])}`];
}

function containerArguments(what: ExplainedJob, stage: Stage, image: ImagePlan, script: string): string[] {
  const { state, job } = what;
  const prepared = unknownImage(state);
  const archive = isBatch(state.config) ? undefined : prepared.archive;
  const source = archive === undefined ? { id: prepared.id } : { archive };
  return runArguments(containerSpec({ context: what, state, job, stage, image, script }, prepared, source));
}

/** What is known of an image only when it has been pulled; it is taken to have Bash, and to name no user. */
function unknownImage({ config }: JobState): PreparedImage {
  const format = archiveFormat(config);
  return {
    id: "ID-OF-THE-IMAGE",
    hasBash: true,
    user: "",
    ...(format === "none" ? {} : { archive: `${format}:ARCHIVE` }),
  };
}

/** The very command that submits: the scheduler's own code says it, and nobody runs it. */
async function batchLines(state: JobState, plan: BatchPlan): Promise<string[]> {
  const calls: (readonly string[])[] = [];
  const answer: Answer = { exitCode: undefined, stdout: "", stderr: "" };
  await schedulerOf(state.config).submit(plan.submission, (argv) => {
    calls.push(argv);
    return Promise.resolve(answer);
  });
  const shared = plan.request;
  return [
    ...(shared === undefined ? [] : [`  # ${shared.action} the shared allocation "${shared.key}" (${shared.name})`]),
    ...calls.map((argv) => `  ${shownCommand(argv)}`),
    "",
    `${plan.files.jobFile}:`,
    ...plan.text.split("\n").map((line) => `  ${line}`),
  ];
}

function podmanOf({ config }: JobState): string {
  return config.general.podman.application_path ?? "podman";
}
