import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Number of a CI job, as GitLab gave it. Only digits; no CI variable can change it. */
export type JobId = string & { readonly __brand: "JobId" };

/** A variable as GitLab sent it. The user may have written key and value. */
export interface JobVariable {
  readonly key: string;
  readonly value: string;
  readonly file: boolean;
  /** GitLab is to show its value nowhere. */
  readonly masked?: boolean;
}

/** Credentials for a container registry, as GitLab sent them for this job. */
export interface RegistryCredentials {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

/** The image that the job names. The name is what the user wrote, with variables expanded by the runner. */
export interface JobImage {
  readonly name: string;
  /** Absent when the job does not set it. `[""]` takes the entrypoint away. */
  readonly entrypoint: readonly string[] | undefined;
  readonly pullPolicies: readonly string[];
  readonly platform: string;
  readonly user: string;
}

/**
 * What GitLab and the runner say of a CI job. No CI variable can change any of it, so policy is decided on this alone.
 * Texts in it may still be of the user's choosing (the name of an image); they are as GitLab will hold them to it.
 */
export interface Job {
  readonly id: JobId;
  readonly token: string;
  readonly name: string;
  readonly projectId: number;
  /** Number of the pipeline, or 0 when the runner does not hand it over (before 19.0). */
  readonly pipelineId: number;
  /** The project's full path as GitLab names it (`group/project`), or "" when the runner does not hand it over (before 18.5). */
  readonly projectPath: string;
  /** Path of the project in the builds and cache directories, as the runner derives it: no empty, `.` or `..` part. */
  readonly projectSlug: string;
  readonly image: JobImage | undefined;
  readonly serviceNames: readonly string[];
  readonly variables: readonly JobVariable[];
  readonly credentials: readonly RegistryCredentials[];
  readonly timeoutSeconds: number;
  readonly traceSections: boolean;
}

/** Largest job response that is read. GitLab's own limit on all of a job's variables is far below it. */
const responseLimitBytes = 64 * 1024 * 1024;
/** How many wrong places in it a message names. */
const mostIssues = 5;

const text = v.optional(v.nullable(v.string(), ""), "");
const flag = v.optional(v.nullable(v.boolean(), false), false);
const texts = v.optional(v.nullable(v.array(v.string()), []), []);
const number = v.optional(v.nullable(v.number(), 0), 0);

const imageSchema = v.object({
  name: text,
  entrypoint: v.optional(v.nullable(v.array(v.string()))),
  pull_policy: texts,
  executor_opts: v.optional(
    v.nullable(
      v.object({
        docker: v.optional(v.nullable(v.object({ platform: text, user: text }))),
      }),
    ),
  ),
});

const responseSchema = v.object({
  id: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  token: text,
  job_info: v.object({ name: text, project_id: number, pipeline_id: number, project_full_path: text }),
  git_info: v.object({ repo_url: text }),
  runner_info: v.optional(v.nullable(v.object({ timeout: number }))),
  variables: v.optional(
    v.nullable(v.array(v.object({ key: v.string(), value: text, file: flag, masked: flag })), []),
    [],
  ),
  image: v.optional(v.nullable(imageSchema)),
  services: v.optional(v.nullable(v.array(v.object({ name: text })), []), []),
  credentials: v.optional(
    v.nullable(v.array(v.object({ type: text, url: text, username: text, password: text })), []),
    [],
  ),
  features: v.optional(v.nullable(v.object({ trace_sections: flag }))),
});

/**
 * Reads the job response that the runner wrote (facts/gitlab-runner.md, part 2).
 * Throws `job_response_invalid` when it is missing, too large, no regular file, truncated or not what it should be.
 */
export function readJob(path: string): Job {
  return parseJob(readJobResponse(path));
}

/** Reads the text of the job response. Throws `job_response_invalid` when it is missing, too large or no regular file. */
export function readJobResponse(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw invalid(`Cannot open the job response "${path}": ${systemErrorCode(cause) ?? "unknown error"}`, cause);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw invalid(`The job response "${path}" is not a regular file`);
    if (status.size > responseLimitBytes) {
      throw invalid(`The job response "${path}" has ${status.size} bytes, more than the ${responseLimitBytes} allowed`);
    }
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

/** Parses the text of a job response. Throws `job_response_invalid`; the message never quotes the text. */
export function parseJob(json: string): Job {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch {
    // The parser's own message quotes the text, which holds the job's token.
    throw invalid(`The job response is not JSON (${json.length} characters); it may have been cut off`);
  }
  const parsed = v.safeParse(responseSchema, data);
  if (!parsed.success) {
    const where = parsed.issues.map((issue) => v.getDotPath(issue) ?? "(top level)");
    const more = where.length > mostIssues ? `, and ${where.length - mostIssues} more` : "";
    throw invalid(`The job response has no valid ${where.slice(0, mostIssues).join(", ")}${more}`);
  }
  const response = parsed.output;
  return {
    id: toJobId(response.id),
    token: response.token,
    name: response.job_info.name,
    projectId: response.job_info.project_id,
    pipelineId: response.job_info.pipeline_id,
    projectPath: response.job_info.project_full_path,
    projectSlug: projectSlug(response.git_info.repo_url, response.job_info.project_id),
    image: toImage(response.image),
    serviceNames: response.services.map((service) => service.name),
    variables: response.variables,
    credentials: response.credentials.filter((entry) => entry.type === "registry" && entry.url !== ""),
    timeoutSeconds: response.runner_info?.timeout ?? 0,
    traceSections: response.features?.trace_sections ?? false,
  };
}

function toJobId(id: number): JobId {
  const digits = id.toFixed(0);
  if (!isJobId(digits)) throw invalid("The job response has no valid id");
  return digits;
}

/** Whether a text is the number of a job: digits, at most as many as fit into 64 bits. */
export function isJobId(value: string): value is JobId {
  return /^[1-9][0-9]{0,18}$/.test(value);
}

function toImage(image: v.InferOutput<typeof imageSchema> | null | undefined): JobImage | undefined {
  if (!image || image.name === "") return undefined;
  const entrypoint = image.entrypoint ?? [];
  return {
    name: image.name,
    entrypoint: entrypoint.length === 0 ? undefined : entrypoint,
    pullPolicies: image.pull_policy,
    platform: image.executor_opts?.docker?.platform ?? "",
    user: image.executor_opts?.docker?.user ?? "",
  };
}

/**
 * The project's path below the builds and cache directories, as the runner makes it of the repository's address
 * (`ProjectSlug` and `ProjectUniqueDir` in `common/build.go`): the decoded path without one `.git`, cleaned; where that
 * gives nothing, or the address has no host, `project-<id>`.
 * Throws `job_response_invalid` for characters that no project path has and that would break a path or a volume.
 */
export function projectSlug(repositoryUrl: string, projectId: number): string {
  const fallback = `project-${projectId}`;
  const match = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#]*@)?[^/?#@]+((?:\/[^?#]*)?)(?:[?#]|$)/.exec(repositoryUrl);
  if (!match || hasControlCharacter(repositoryUrl)) return fallback;
  let path: string;
  try {
    path = decodeURIComponent(match[1] ?? "");
  } catch {
    return fallback;
  }
  const parts: string[] = [];
  for (const part of path.replace(/\.git$/, "").split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  const slug = parts.join("/");
  if (slug === "" || slug.includes("..")) return fallback;
  if (hasControlCharacter(slug) || slug.includes(":")) {
    throw invalid("The job response has a repository address with characters that no project path has");
  }
  return slug;
}

function hasControlCharacter(value: string): boolean {
  for (const character of value) {
    const point = character.codePointAt(0) ?? 0;
    if (point < 32 || (point >= 127 && point < 160)) return true;
  }
  return false;
}

function invalid(message: string, cause?: unknown): JacamarError {
  return new JacamarError("job_response_invalid", message, {
    hint: "GitLab Runner writes this file for every job (JOB_RESPONSE_FILE); runners older than 14.0 do not.",
    cause,
  });
}
