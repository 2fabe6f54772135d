import { JacamarError, systemErrorCode } from "../../error/error.ts";
import { capture } from "../../process/capture.ts";
import type { Environment } from "../../process/command.ts";
import { isExecutable, onPath } from "../../process/program-path.ts";
import type { Answer, CallScheduler, Scheduler } from "./scheduler.ts";

/** What the scheduler's programs are started with. */
export interface ProgramsOptions {
  /** Variables with which a login begins. */
  readonly beginning: Environment;
  /** The environment of the user's login: where programs are found, and what it says of the scheduler. */
  readonly login: Environment;
  /** Directory of the programs (`scheduler_bin`). */
  readonly directory: string | undefined;
  /** `KEY=VALUE` each (`env_vars`). */
  readonly assignments: readonly string[];
  readonly workingDirectory: string;
}

/**
 * The environment of the scheduler's programs. A job often inherits it, so nothing of the login goes in but what the login
 * says of the scheduler: the job has a login of its own on its node.
 */
export function programEnvironment(scheduler: Scheduler, options: ProgramsOptions): Environment {
  const { beginning, login, assignments } = options;
  const isOwn = ([name]: readonly [string, string]) => scheduler.ownVariables?.includes(name) === true;
  const ofScheduler = Object.entries(login).filter(([name]) =>
    scheduler.variablePrefixes.some((prefix) => name.startsWith(prefix)),
  );
  const given = assignments.map((assignment): [string, string] => {
    const equals = assignment.indexOf("=");
    return [assignment.slice(0, equals), expand(assignment.slice(equals + 1), login)];
  });
  const further = [...ofScheduler, ...given].filter((entry) => !isOwn(entry));
  return { ...beginning, ...Object.fromEntries(further) };
}

/** `$VAR` and `${VAR}` of the login; one that is not set becomes nothing, as in a shell. No shell reads it. */
function expand(value: string, login: Environment): string {
  return value.replaceAll(
    /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))/g,
    (_, braced: string | undefined, bare: string | undefined) => {
      const name = braced ?? bare ?? "";
      return Object.hasOwn(login, name) ? (login[name] ?? "") : "";
    },
  );
}

/** How long a program of the scheduler may take to answer. */
export const callSeconds = 60;

/** Calls the scheduler's programs, each for a minute or what its caller gives it, and counts as no answer what takes longer. */
export function openPrograms(scheduler: Scheduler, options: ProgramsOptions): CallScheduler {
  const environment = programEnvironment(scheduler, options);
  return async ([program, ...args], { seconds = callSeconds, stop } = {}): Promise<Answer> => {
    const path = findProgram(program, scheduler, options);
    let answer: Awaited<ReturnType<typeof capture>>;
    try {
      answer = await capture(
        { argv: [path, ...args], environment, workingDirectory: options.workingDirectory },
        { timeoutSeconds: Math.min(callSeconds, seconds), ...(stop === undefined ? {} : { stop }) },
      );
    } catch (cause) {
      throw unavailable(`Cannot start "${path}": ${systemErrorCode(cause) ?? "unknown error"}`, scheduler, cause);
    }
    const { ending, stdout, stderr } = answer;
    return { exitCode: "exitCode" in ending ? ending.exitCode : undefined, stdout, stderr };
  };
}

/** The path of a program of the scheduler's. Throws `scheduler_unavailable`. */
export function findProgram(
  program: string,
  scheduler: Scheduler,
  { directory, login }: Pick<ProgramsOptions, "directory" | "login">,
): string {
  const path = directory === undefined ? onPath(program, login["PATH"] ?? "") : `${directory}/${program}`;
  if (path !== undefined && isExecutable(path)) return path;
  const directories = directory ?? (login["PATH"] ?? "").replaceAll(":", ", ");
  throw unavailable(`There is no ${program} in ${directories}`, scheduler);
}

function unavailable(message: string, scheduler: Scheduler, cause?: unknown): JacamarError {
  return new JacamarError("scheduler_unavailable", message, {
    hint: `The administrator sets where ${scheduler.title}'s programs are with scheduler_bin in [batch].`,
    ...(cause === undefined ? {} : { cause }),
  });
}
