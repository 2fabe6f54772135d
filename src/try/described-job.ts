import { basename, dirname } from "node:path";
import { JacamarError } from "../error/error.ts";
import { jobResponse, namedImages } from "./job-response.ts";
import { type JobFacts, runnerVariables, serverVariables } from "./job-variables.ts";
import { readPipeline } from "./pipeline.ts";
import { nearest } from "./read-node.ts";
import { valueOf } from "./variables.ts";

/** A job of a pipeline file, as GitLab Runner would hand it to the driver. */
export interface DescribedJob {
  /** Text of the job response file. */
  readonly response: string;
  /** All variables, by name. */
  readonly variables: ReadonlyMap<string, string>;
  /** What the pipeline file says and `jacamar try` does not honour. */
  readonly warnings: readonly string[];
}

export interface JobWanted {
  /** An absolute path; its directory gives the project its name. */
  readonly file: string;
  readonly text: string;
  readonly readLocal: (path: string) => string | undefined;
  readonly jobName: string;
  /** The login that starts the pipeline. */
  readonly login: string;
  readonly runnerShortToken: string;
  readonly concurrentId: number;
  readonly version: string;
}

/**
 * Describes a job without running it or anything before it: the numbers of job, pipeline and project are made up, and there
 * are no sources, artifacts and ID tokens. Throws `pipeline_invalid`.
 */
export function describeJob(wanted: JobWanted): DescribedJob {
  const pipeline = readPipeline({ file: wanted.file, text: wanted.text, readLocal: wanted.readLocal });
  const job = pipeline.jobs.find(({ name }) => name === wanted.jobName);
  if (job === undefined) {
    const known = pipeline.jobs.map(({ name }) => name);
    throw new JacamarError("pipeline_invalid", `There is no job "${wanted.jobName}"`, {
      hint: nearest(wanted.jobName, known) ?? `The jobs are: ${known.join(", ")}`,
    });
  }
  const facts: JobFacts = {
    pipeline: {
      pipelineId: 1,
      projectId: 1,
      projectPath: `${wanted.login}/${basename(dirname(wanted.file)).replaceAll(/[^A-Za-z0-9_.-]/g, "-")}`,
      configPath: basename(wanted.file),
      sources: undefined,
      user: { login: wanted.login, name: wanted.login, email: `${wanted.login}@localhost`, id: 1 },
      runner: { shortToken: wanted.runnerShortToken, description: "explain", version: wanted.version },
      globalVariables: pipeline.variables,
      givenVariables: [],
      startedAt: new Date(0),
    },
    job,
    jobId: 1,
    token: "glcbt-64_of-no-job",
    timeoutSeconds: 3600,
    concurrentId: wanted.concurrentId,
    idTokens: [],
  };
  const server = serverVariables(facts);
  const { image, services } = namedImages(facts, server);
  const depth = Number.parseInt(valueOf(server, "GIT_DEPTH") || "20", 10);
  const variables = runnerVariables(facts, server, image?.name ?? "", "running", undefined);
  return {
    response: jobResponse({
      facts,
      server,
      image,
      services,
      cacheKeys: [],
      dependencies: [],
      depth: Number.isNaN(depth) ? 20 : depth,
      allowGitFetch: true,
    }),
    variables: new Map(variables.map(({ key, value }) => [key, value])),
    warnings: pipeline.warnings,
  };
}
