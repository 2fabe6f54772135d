import type { JobDefinition } from "./job-definition.ts";
import type { Pipeline } from "./pipeline.ts";

/** Where a job of the pipeline stands. `warned`: it failed and was allowed to. */
export type JobState = "waiting" | "running" | "success" | "warned" | "failed" | "canceled" | "skipped" | "manual";

/** The jobs whose artifacts a job gets, in the order of the pipeline. */
export function artifactSources(job: JobDefinition, pipeline: Pipeline): JobDefinition[] {
  const stage = (one: JobDefinition) => pipeline.stages.indexOf(one.stage);
  const fromNeeds = job.needs?.filter((need) => need.artifacts).map((need) => need.job);
  return pipeline.jobs.filter((one) => {
    if (one.name === job.name) return false;
    if (fromNeeds !== undefined && !fromNeeds.includes(one.name)) return false;
    if (job.dependencies !== undefined) return job.dependencies.includes(one.name);
    return fromNeeds !== undefined || stage(one) < stage(job);
  });
}

/**
 * The named jobs and, before them, the jobs whose artifacts they get, and so on. GitLab has no such thing: here it
 * makes it possible to try one job of a large pipeline.
 */
export function selectJobs(pipeline: Pipeline, names: readonly string[]): JobDefinition[] {
  const wanted = new Set<string>();
  const byName = new Map(pipeline.jobs.map((job) => [job.name, job]));
  function add(name: string): void {
    const job = byName.get(name);
    if (job === undefined || wanted.has(name)) return;
    wanted.add(name);
    for (const source of artifactSources(job, pipeline)) if (source.artifacts !== undefined) add(source.name);
  }
  for (const name of names) add(name);
  return pipeline.jobs.filter((job) => wanted.has(job.name));
}

/** What is to be done with a job now. */
export type Decision =
  | { readonly action: "wait" }
  | { readonly action: "run" }
  | { readonly action: "skip"; readonly why: string };

/**
 * Decides about one waiting job from the states of the others, by GitLab's rules for `when`, `needs` and stages.
 * Jobs that are not part of the run have no state and hold nothing up. `isNamed`: the user asked for this job.
 */
export function decide(
  job: JobDefinition,
  pipeline: Pipeline,
  states: ReadonlyMap<string, JobState>,
  isNamed: boolean,
): Decision {
  const stage = (one: JobDefinition) => pipeline.stages.indexOf(one.stage);
  const needed = job.needs?.map((need) => need.job);
  const before = pipeline.jobs.filter((one) => {
    if (!states.has(one.name)) return false;
    return needed === undefined ? stage(one) < stage(job) : needed.includes(one.name);
  });
  const inState = (...wanted: readonly JobState[]) =>
    before.filter((one) => wanted.some((state) => state === states.get(one.name)));
  if (inState("waiting", "running").length > 0) return { action: "wait" };

  const [manual] = inState("manual").filter((one) => needed !== undefined || one.allowFailure === false);
  if (manual !== undefined)
    return { action: "skip", why: `it comes after "${manual.name}", which waits to be started` };
  const failed = inState("failed", "canceled");
  if (job.when === "always" || isNamed) {
    const [source] = failed.filter((one) => isNamed && job.when !== "always" && one.artifacts !== undefined);
    return source === undefined ? { action: "run" } : { action: "skip", why: `"${source.name}" failed` };
  }
  if (job.when === "on_failure") {
    return failed.length > 0 ? { action: "run" } : { action: "skip", why: "no job before it failed" };
  }
  const [first] = failed;
  if (first !== undefined) return { action: "skip", why: `"${first.name}" failed` };
  const [skipped] = needed === undefined ? [] : inState("skipped");
  if (skipped !== undefined) return { action: "skip", why: `"${skipped.name}" was skipped` };
  return { action: "run" };
}
