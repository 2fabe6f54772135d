import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";
import type { StageContext } from "./context.ts";
import { type RecordDoor, recordStage } from "./record-stage.ts";
import { isLeftAlone } from "../process/signals.ts";
import { runScript } from "./run.ts";
import { type JobState, unpackState } from "./state.ts";
import type { JobLog } from "../log/job-log.ts";

/** A call of the runner's, as its arguments say it. */
export type Call =
  | { readonly command: "config"; readonly configuration: string; readonly unobfuscated: boolean }
  | { readonly command: "prepare" | "cleanup" }
  | { readonly command: "run"; readonly script: string; readonly stage: string }
  /** `jacamar-auth` has decided and hands the stage over on standard input. */
  | { readonly command: "handover" }
  | { readonly command: "version" | "help" }
  /** Arguments that are none of these: `terminal/unclear-call.ts` says why. */
  | { readonly command: "unclear" };

/** The calls that work for a job, as the account whose job it is. */
export type StageCall = Extract<Call, { command: "prepare" | "cleanup" | "run" }>;

/** Reads the arguments of `jacamar` and `jacamar-auth`. Throws `usage`. */
export function parseCall(argv: readonly string[]): Call {
  return runCall(argv) ?? parseOtherCall(argv);
}

/**
 * The call that the runner makes most, `[options] run SCRIPT STAGE`, is known by its shape, since loading Node's parser of
 * arguments costs such a stage 2 ms.
 */
function runCall(argv: readonly string[]): Call | undefined {
  const options = new Set(["--no-auth", "-u", "--unobfuscated"]);
  const command = argv.findIndex((argument) => !options.has(argument));
  const [name, script, stage, ...more] = argv.slice(command);
  if (name !== "run" || script === undefined || stage === undefined || more.length > 0) return undefined;
  return { command: "run", script, stage };
}

function parseOtherCall(argv: readonly string[]): Call {
  const parsed = parseArguments(argv);
  if (parsed === undefined) return { command: "unclear" };
  const { values, positionals } = parsed;
  const [command, ...more] = positionals;
  if (values.version === true) return { command: "version" };
  if (values.help === true || (command === "help" && more.length === 0)) return { command: "help" };
  if (values.handover === true) return { command: "handover" };
  if (command === "run") throw usage("The run command needs a script and a stage");
  const takesNone = (name: string): void => {
    if (more.length > 0) throw usage(`The ${name} command takes no "${more[0]}"`);
  };
  switch (command) {
    case "config": {
      takesNone(command);
      const file = values.configuration;
      if (file === undefined || file === "") throw usage("The config command needs --configuration FILE");
      return { command, configuration: file, unobfuscated: values.unobfuscated === true };
    }
    case "prepare":
    case "cleanup":
      takesNone(command);
      return { command };
    case undefined:
      throw usage("No command was given");
    default:
      return { command: "unclear" };
  }
}

/** What both programs take. Their descriptions (terminal/commands/programs.ts) would make a stage's start slower. */
export const programOptions = {
  "no-auth": { type: "boolean" },
  unobfuscated: { type: "boolean", short: "u" },
  configuration: { type: "string" },
  handover: { type: "boolean" },
  version: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

function parseArguments(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: programOptions,
    });
  } catch {
    return undefined;
  }
}

function usage(message: string): JacamarError {
  return new JacamarError("usage", message, { hint: "See: jacamar --help" });
}

/** A stage by its name, as the record has it. */
interface NamedStage {
  readonly command: StageCall["command"];
  readonly stage?: string;
}

/**
 * Does the work of a stage as the account of this process, and that of cleanup too when the runner has gone away meanwhile;
 * then writes the stage's record, where the configuration has one. Throws what the stage throws.
 */
export async function runStage(
  call: NamedStage,
  context: StageContext,
  log: JobLog,
  door: RecordDoor = { kind: "here" },
): Promise<void> {
  try {
    await withCleanup(call, context, log);
  } catch (error) {
    await record(call, context, error, door);
    throw error;
  }
  await record(call, context, undefined, door);
}

async function withCleanup(call: NamedStage, context: StageContext, log: JobLog): Promise<void> {
  try {
    await doStage(call, context, log);
  } catch (error) {
    throw await explained(error, call.command, context);
  } finally {
    // Nothing ends that any more: what it asks for, such as a login, is not to be cut off as the stage was.
    const stop = new AbortController().signal;
    const isLast = context.stop.aborted && call.command !== "cleanup" && (await isLeftAlone(context.stop));
    if (isLast) await cleanUp({ ...context, stop }, log);
  }
}

/** The name of a stage in the record. */
export function stageName({ command, stage }: NamedStage): string {
  return command === "run" ? (stage ?? "") : command;
}

function record(call: NamedStage, context: StageContext, error: unknown, door: RecordDoor): Promise<void> {
  const { environment, files, account, variables, measure } = context;
  const ended = {
    state: tryState(environment),
    stage: stageName(call),
    job: files.job,
    account,
    runnerShortToken: variables.get("CI_RUNNER_SHORT_TOKEN")?.text,
    measure,
    error,
  };
  return recordStage(ended, door);
}

/** A state that cannot be read has ended the stage already. */
function tryState(environment: Readonly<NodeJS.ProcessEnv>): JobState | undefined {
  try {
    return unpackState(environment);
  } catch {
    return undefined;
  }
}

/**
 * A failure of the site's is told with what is wrong on the machine. What is needed to find that out is read only then. The
 * cleanup stage has no job log.
 */
async function explained(error: unknown, command: StageCall["command"], context: StageContext): Promise<unknown> {
  const isSites = error instanceof JacamarError && error.blame === "site" && error.code !== "interrupted";
  if (!isSites || command === "cleanup" || context.stop.aborted) return error;
  try {
    const { explainFailure } = await import("./explain-failure.ts");
    return await explainFailure(error, context);
  } catch {
    // The file with the checks may be closed to this user; the failure is told without.
    return error;
  }
}

async function doStage(call: NamedStage, context: StageContext, log: JobLog): Promise<void> {
  switch (call.command) {
    case "prepare": {
      const { runPrepare } = await import("./prepare.ts");
      return runPrepare(context, log);
    }
    case "run":
      return runScript(context, call.stage ?? "", log);
    case "cleanup":
      return cleanUp(context, log);
  }
}

async function cleanUp(context: StageContext, log: JobLog): Promise<void> {
  const { runCleanup } = await import("./cleanup.ts");
  return runCleanup(context, log);
}
