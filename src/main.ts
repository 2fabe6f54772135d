import { parseArgs } from "node:util";
import { runCleanup } from "./command/cleanup.ts";
import { openContext, throwIfStopped } from "./command/context.ts";
import { runPrepare } from "./command/prepare.ts";
import { runScript } from "./command/run.ts";
import { readRunnerFiles } from "./command/runner-files.ts";
import { JacamarError } from "./error/error.ts";
import { JobLog } from "./log/job-log.ts";
import { listenForStop } from "./process/signals.ts";
import { version } from "./version.ts";

const help = `jacamar ${version}: a custom executor for GitLab Runner

Called by GitLab Runner (config.toml, [runners.custom]):
  jacamar [--no-auth] config --configuration FILE
  jacamar [--no-auth] prepare
  jacamar [--no-auth] run SCRIPT STAGE
  jacamar [--no-auth] cleanup [--configuration FILE]

For everybody:
  jacamar try [--configuration FILE] [--job NAME]... [.gitlab-ci.yml]
                    run a pipeline here, without a GitLab server (jacamar try --help)

Options:
  --no-auth         run jobs as the account that calls, with no authorisation
  -u, --unobfuscated  show errors of authorisation in full
  --version, --help`;

// All output has been written by then, and nothing that a job left behind may hold this process.
void main(process.argv.slice(2)).then((code) => process.exit(code));

/** Every way out of the program passes here: only this function prints a failure and picks an exit code. */
async function main(argv: readonly string[]): Promise<number> {
  process.umask(0o077);
  const command = argv.find((argument) => !argument.startsWith("-"));
  const stop = command === "try" ? undefined : listenForStop();
  const log = new JobLog(command === "config" ? 2 : 1);
  try {
    return await dispatch(argv, command, log, stop);
  } catch (error) {
    return await fail(error, stop);
  }
}

async function dispatch(
  argv: readonly string[],
  command: string | undefined,
  log: JobLog,
  stop: AbortSignal | undefined,
): Promise<number> {
  if (command === "try") {
    const { runTry } = await import("./try/try.ts");
    const { stdout, stderr } = process;
    return await runTry(argv.slice(argv.indexOf("try") + 1), {
      environment: process.env,
      workingDirectory: process.cwd(),
      stdout,
      stderr,
      driver: [process.execPath, process.argv[1] ?? "", "--no-auth"],
      version,
    });
  }
  if (stop !== undefined && isRunCall(argv)) {
    const [script = "", stage = ""] = argv.slice(-2);
    await runScript(openContext(process.env, readRunnerFiles(process.env, script), stop), stage);
    throwIfStopped(stop);
    return 0;
  }
  const values = parseCommandLine(argv);
  if (values.version) return print(version);
  if (values.help) return print(help);
  if (command === undefined || stop === undefined) throw usage("No command was given");
  const context = openContext(process.env, readRunnerFiles(process.env, undefined), stop);
  switch (command) {
    case "config": {
      const file = values.configuration;
      if (file === undefined || file === "") throw usage("The config command needs --configuration FILE");
      const { runConfig } = await import("./command/config.ts");
      await runConfig(context, file);
      break;
    }
    case "prepare": {
      await runPrepare(context, log);
      break;
    }
    case "run":
      throw usage("The run command needs a script and a stage");
    case "cleanup": {
      await runCleanup(context, log);
      return 0;
    }
    default:
      throw usage(`There is no command "${command}"`);
  }
  // A stage that the runner has ended must not look as if it had worked (facts/gitlab-runner.md, trap 5).
  throwIfStopped(stop);
  return 0;
}

/**
 * Whether this is the call that the runner makes most, `[options] run SCRIPT STAGE`: it is known by its shape, since
 * loading Node's parser of arguments costs such a stage 2 ms.
 */
function isRunCall(argv: readonly string[]): boolean {
  const options = new Set(["--no-auth", "-u", "--unobfuscated"]);
  const command = argv.findIndex((argument) => !options.has(argument));
  return argv[command] === "run" && argv.length === command + 3;
}

function parseCommandLine(argv: readonly string[]) {
  try {
    const parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        "no-auth": { type: "boolean" },
        unobfuscated: { type: "boolean", short: "u" },
        configuration: { type: "string" },
        version: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    return parsed.values;
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function usage(message: string): JacamarError {
  return new JacamarError("usage", message, { hint: "See: jacamar --help" });
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

/** Says what failed, and returns the exit code by which the runner knows whose fault it is. */
async function fail(error: unknown, stop: AbortSignal | undefined): Promise<number> {
  const log = new JobLog(2);
  if (!(error instanceof JacamarError)) {
    const { randomBytes } = await import("node:crypto");
    const id = randomBytes(6).toString("hex");
    const { writeSystemLog } = await import("./process/system-log.ts");
    const logged = await writeSystemLog(`jacamar ${version}: internal error ${id}: ${stackOf(error)}`);
    const where = logged ? "The system log has the details under this id." : "The system log cannot be written.";
    log.say(`ERROR: A defect of this program has ended the stage (internal error ${id})\n  ${where}`);
    return exitCode("SYSTEM_FAILURE_EXIT_CODE", 2);
  }
  // The script has said itself what was wrong, and the runner reports its exit code.
  if (error.code !== "script_failed") {
    log.say(`ERROR: ${error.message}${error.hint === undefined ? "" : `\n  ${error.hint}`}`);
  }
  const isJobsFault = error.blame === "job" && stop?.aborted !== true;
  return isJobsFault ? exitCode("BUILD_FAILURE_EXIT_CODE", 1) : exitCode("SYSTEM_FAILURE_EXIT_CODE", 2);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function exitCode(name: string, otherwise: number): number {
  const text = process.env[name] ?? "";
  return /^[1-9][0-9]{0,2}$/.test(text) && Number(text) <= 255 ? Number(text) : otherwise;
}
