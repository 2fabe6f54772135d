import { basename } from "node:path";
import * as v from "valibot";
import type { ConfigurationFile } from "../config/file.ts";
import type { Fault, Inspection, Path } from "../config/inspect.ts";
import { show } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { readToml } from "../config/toml.ts";
import type { Documented } from "./rule.ts";

/** `[runners.custom]` and what stands around it, as far as this program has to do with it (facts/gitlab-runner.md, 1.2). */
const text = v.optional(v.string());
const list = v.optional(v.array(v.string()), []);
const runnerSchema = v.object({
  name: v.optional(v.string(), ""),
  executor: v.optional(v.string(), ""),
  custom: v.optional(
    v.object({
      config_exec: text,
      config_args: list,
      prepare_exec: text,
      prepare_args: list,
      run_exec: text,
      run_args: list,
      cleanup_exec: text,
      cleanup_args: list,
      graceful_kill_timeout: v.optional(v.number()),
    }),
  ),
});
const fileSchema = v.object({ runners: v.optional(v.array(runnerSchema), []) });
type Custom = NonNullable<v.InferOutput<typeof runnerSchema>["custom"]>;

/** What GitLab Runner waits between SIGTERM and SIGKILL where nothing is set (executors/custom/consts.go). */
const defaultGracefulSeconds = 600;

export const runnerPatience: Documented = {
  name: "runner-impatient",
  severity: "warning",
  means: "GitLab Runner kills a stage before `kill_timeout` has passed.",
  why: "When a job is cancelled, the driver ends it within `kill_timeout`. A driver that is killed meanwhile cannot remove the container, and leaves that to the cleanup stage.",
  remedy: "Set `graceful_kill_timeout` in `[runners.custom]` to more seconds than `kill_timeout` has; 30 more is good.",
};

export const runnerWiring: Documented = {
  name: "runner-wiring",
  severity: "problem",
  means: "The runner's `config.toml` does not call this program as it must be called.",
  why: "GitLab Runner calls four programs for a job. One that is missing, or that gets other arguments, makes every job fail, or leaves what a job made behind.",
  remedy: "Paste the block that `jacamar init` prints, or the one in docs/administration.md.",
};

export const runnerUnrelated: Documented = {
  name: "runner-unrelated",
  severity: "warning",
  means: "No runner of the `config.toml` uses the configuration that was checked.",
  why: "Either the file is for another runner, or the path in `config_args` is another one.",
  remedy:
    "Compare `config_args` with the path of the file. For files that are not in their place yet use `--elsewhere`.",
};

/** A finding in the runner's file, with its place still to be found. */
export interface RunnerInspection {
  readonly inspection: Inspection;
  readonly problems: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/**
 * Compares the runner's own configuration with ours.
 *
 * @param configuration the absolute path of our file, and what it holds. For one that is not in its place, `elsewhere`: a runner
 *   counts when it names a file of that name, wherever.
 * @param whyUnusable looks at a program: why it cannot be started, or undefined. Left out for a file of another machine.
 */
export function inspectRunnerConfig(
  original: ConfigurationFile["text"],
  configuration: { readonly path: string; readonly config: Config | undefined; readonly elsewhere?: boolean },
  whyUnusable: (program: string) => string | undefined = () => undefined,
): RunnerInspection {
  if (typeof original !== "string") {
    const fault: Fault = { path: [], at: original, message: "this is not UTF-8" };
    return { inspection: { ...emptyInspection, text: "" }, problems: [fault], warnings: [] };
  }
  const toml = readToml(original);
  if ("reason" in toml) {
    const fault: Fault = { path: [], at: { line: toml.line, column: toml.column }, message: toml.reason };
    return { inspection: emptyInspection, problems: [fault], warnings: [] };
  }
  const inspection: Inspection = { ...emptyInspection, text: toml.text, table: toml.table, slashes: toml.slashes };
  const parsed = v.safeParse(fileSchema, toml.table);
  if (!parsed.success) {
    const problems = parsed.issues.map((issue): Fault => {
      const path = (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
      return { path, at: "value", message: `is not what GitLab Runner takes (${issue.expected ?? "another value"})` };
    });
    return { inspection, problems, warnings: [] };
  }
  const ours = parsed.output.runners.flatMap(({ custom, executor }, index) =>
    custom !== undefined && isOurs(custom, configuration)
      ? [{ custom, executor, path: ["runners", index, "custom"] }]
      : [],
  );
  if (ours.length === 0) {
    const message = `no runner with executor = "custom" has ${show(configuration.path)} in its config_args`;
    return {
      inspection,
      problems: [],
      warnings: [{ path: ["runners"], at: "key", message, rule: runnerUnrelated.name }],
    };
  }
  return {
    inspection,
    problems: ours.flatMap(({ custom, executor, path }) => [
      ...executorFaults(executor, path.slice(0, -1)),
      ...wiringFaults(custom, path, configuration),
      ...programFaults(custom, path, whyUnusable),
    ]),
    warnings: ours.flatMap(({ custom, path }) => patienceFaults(custom, path, configuration.config)),
  };
}

const emptyInspection: Inspection = {
  text: undefined,
  table: undefined,
  slashes: [],
  config: undefined,
  faults: [],
  warnings: [],
};

/** Whether a runner's block calls this program, with this file or with none at all. */
function isOurs(custom: Custom, { path, elsewhere }: { readonly path: string; readonly elsewhere?: boolean }): boolean {
  const programs = [custom.config_exec, custom.prepare_exec, custom.run_exec, custom.cleanup_exec];
  if (!programs.some((program) => program !== undefined && isProgram(program))) return false;
  const file = configurationOf(custom.config_args);
  return file === undefined || file === path || (elsewhere === true && basename(file) === basename(path));
}

function isProgram(program: string): boolean {
  return /^jacamar(?:-auth)?$/.test(basename(program));
}

function configurationOf(args: readonly string[]): string | undefined {
  const index = args.indexOf("--configuration");
  if (index !== -1) return args[index + 1];
  return args.find((arg) => arg.startsWith("--configuration="))?.slice("--configuration=".length);
}

/** A runner of another executor reads none of `[runners.custom]`. */
function executorFaults(executor: string, path: Path): Fault[] {
  if (executor === "custom") return [];
  const message = executor === "" ? "is missing" : `is ${show(executor)}, so [runners.custom] has no effect`;
  return [{ path: [...path, "executor"], at: "value", message, expected: '"custom"', rule: runnerWiring.name }];
}

function programFaults(custom: Custom, path: Path, whyUnusable: (program: string) => string | undefined): Fault[] {
  return stages.flatMap((stage): Fault[] => {
    const program = custom[`${stage}_exec`];
    // The runner looks for a bare name on its own PATH.
    const why = program?.includes("/") === true && isProgram(program) ? whyUnusable(program) : undefined;
    if (program === undefined || why === undefined) return [];
    const message = `${show(program)} ${why}`;
    return [{ path: [...path, `${stage}_exec`], at: "value", message, rule: runnerWiring.name }];
  });
}

const stages = ["config", "prepare", "run", "cleanup"] as const;

function wiringFaults(custom: Custom, path: Path, { config }: { readonly config: Config | undefined }): Fault[] {
  const fault = (key: string, message: string): Fault => ({
    path: [...path, key],
    at: "key",
    message,
    rule: runnerWiring.name,
  });
  const faults = stages.flatMap((stage): Fault[] => {
    const program = custom[`${stage}_exec`];
    const args = custom[`${stage}_args`];
    if (program === undefined) return [fault(`${stage}_exec`, "is missing")];
    const command = args.find((arg) => !arg.startsWith("-"));
    return [
      ...(isProgram(program) ? [] : [fault(`${stage}_exec`, `${show(program)} is not this program`)]),
      ...(command === stage ? [] : [fault(`${stage}_args`, `must have "${stage}" as its command`)]),
    ];
  });
  const withoutFile = configurationOf(custom.config_args) === undefined;
  const programs = new Set(stages.map((stage) => custom[`${stage}_exec`]).filter((program) => program !== undefined));
  const authorises = custom.config_exec !== undefined && basename(custom.config_exec) === "jacamar-auth";
  return [
    ...faults,
    ...(withoutFile ? [fault("config_args", "must name the configuration: --configuration FILE")] : []),
    ...(programs.size > 1 ? [fault("config_exec", "is not the program that the other stages call")] : []),
    ...(config === undefined || !authorises || config.auth !== undefined
      ? []
      : [fault("config_exec", "is jacamar-auth, and the configuration has no [auth]: no job runs")]),
    ...(config?.auth === undefined || authorises
      ? []
      : [
          fault(
            "config_exec",
            "is jacamar, so that [auth] has no effect and all jobs run as the account of the runner",
          ),
        ]),
  ];
}

function patienceFaults(custom: Custom, path: Path, config: Config | undefined): Fault[] {
  const graceful = custom.graceful_kill_timeout ?? defaultGracefulSeconds;
  const kill = config?.general.kill_timeout;
  if (kill === undefined || graceful > kill) return [];
  return [
    {
      path: [...path, "graceful_kill_timeout"],
      at: "value",
      message: `is ${graceful} s, and kill_timeout is ${kill} s: the runner kills a stage before the stage has ended its job`,
      expected: `more than ${kill}`,
      rule: runnerPatience.name,
    },
  ];
}
