import * as v from "valibot";
import { type AccountName, isAccountName } from "../auth/name.ts";
import type { Config } from "../config/schema.ts";
import { packConfig, unpackConfig } from "../config/state.ts";
import { JacamarError } from "../error/error.ts";
import { isJobKey, type JobKey } from "../gitlab/job-key.ts";
import { isJobLife, type JobLife } from "../gitlab/job-life.ts";
import type { CallFilter } from "../seccomp/filter.ts";
import type { Workspace } from "../workspace/layout.ts";

/**
 * What the config stage hands on to all later stages, by way of the runner. It comes back unprefixed, so no CI variable
 * can forge it (facts/gitlab-runner.md, 1.3 and 1.4). No secret goes in: the runner does not mask it.
 */
export interface JobState {
  readonly config: Config;
  readonly workspace: Workspace;
  readonly jobKey: JobKey;
  /** Whose job it is, and how the rights of the runner are given up; absent without authorisation. */
  readonly identity?: Identity | undefined;
  /** When the config stage began, in milliseconds since 1970. */
  readonly startedAt?: number | undefined;
  /** Until when the job can be alive. */
  readonly life?: JobLife | undefined;
}

/** The outcome of authorisation: from the config stage on nobody asks again who the user is. */
export interface Identity {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly downscope: "setuid" | "sudo" | "none";
  /** The program that sudo starts as the user. */
  readonly jacamarPath: string;
  /** `downscope_env`: further variables, `KEY=VALUE`, for what runs as the user. */
  readonly environment: readonly string[];
  readonly noNewPrivs: boolean;
  /** Which system calls the user's processes may make; absent without a filter. */
  readonly callFilter?: CallFilter | undefined;
}

/** The variable that carries the state. */
export const stateVariable = "JACAMAR_CI_STATE";

/** One variable may hold 128 KiB with its name (facts/gitlab-runner.md, trap 13). */
const limitBytes = 120 * 1024;

const path = v.pipe(v.string(), v.startsWith("/"));
const accountNumber = v.pipe(v.number(), v.integer(), v.minValue(1));
const stateSchema = v.object({
  config: v.string(),
  startedAt: v.optional(v.number()),
  life: v.optional(v.custom<JobLife>(isJobLife)),
  jobKey: v.custom<JobKey>(isJobKey),
  identity: v.optional(
    v.object({
      name: v.custom<AccountName>((name) => typeof name === "string" && isAccountName(name)),
      uid: accountNumber,
      gid: accountNumber,
      downscope: v.picklist(["setuid", "sudo", "none"]),
      jacamarPath: path,
      environment: v.array(v.string()),
      noNewPrivs: v.boolean(),
      callFilter: v.optional(
        v.object({ kind: v.picklist(["block", "allow"]), names: v.array(v.string()), limitSetuid: v.boolean() }),
      ),
    }),
  ),
  workspace: v.object({
    base: path,
    buildsBase: path,
    buildsDir: path,
    cacheDir: path,
    projectCacheDir: path,
    projectDir: path,
    scriptsDir: path,
    privateDir: path,
  }),
});

/** The state as the `job_env` of the config stage. Throws `config_invalid` when the configuration is too long for it. */
export function packState(state: JobState): Record<string, string> {
  const text = JSON.stringify({ ...state, config: packConfig(state.config) });
  if (Buffer.byteLength(text) > limitBytes) {
    throw new JacamarError(
      "config_invalid",
      `The configuration is too long to be handed from stage to stage (more than ${limitBytes} bytes)`,
      {
        hint: "Shorten its lists, such as image_allowlist: one regular expression can stand for many names.",
      },
    );
  }
  return { [stateVariable]: text };
}

/** A stage asks more than once, and the answer takes a millisecond. */
let known: { readonly text: string; readonly state: JobState } | undefined;

/** Takes the state out of a stage's environment; undefined when the config stage has not left any. Throws `state_missing`. */
export function unpackState(environment: Readonly<NodeJS.ProcessEnv>): JobState | undefined {
  const text = environment[stateVariable];
  if (text === undefined || text === "") return undefined;
  if (known?.text !== text) known = { text, state: parseState(text) };
  return known.state;
}

function parseState(text: string): JobState {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new JacamarError("state_missing", "The state that the config stage handed on cannot be read", { cause });
  }
  const parsed = v.safeParse(stateSchema, data);
  if (!parsed.success)
    throw new JacamarError("state_missing", "The state that the config stage handed on is not complete");
  return { ...parsed.output, config: unpackConfig(parsed.output.config) };
}

/** The state, where a stage cannot do without. Throws `state_missing`. */
export function requireState(environment: Readonly<NodeJS.ProcessEnv>): JobState {
  const state = unpackState(environment);
  if (state) return state;
  throw new JacamarError("state_missing", "This stage ran without the state of the config stage", {
    hint: "Check that config_exec and config_args in the runner's config.toml call this program: config --configuration FILE.",
  });
}
