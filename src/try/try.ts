import { createHash, randomInt } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { currentAccount } from "../account/account.ts";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { parseTryArguments, type TryArguments } from "./arguments.ts";
import { JobLog, type LogSink } from "./job-log.ts";
import { nearest } from "./read-node.ts";
import { readPipeline, type Pipeline } from "./pipeline.ts";
import { runPipeline } from "./run-pipeline.ts";
import { selectJobs } from "./schedule.ts";
import { packSources, projectRoot, type Sources } from "./sources.ts";
import { tryCommand } from "../terminal/commands/try.ts";
import { helpText } from "../terminal/help.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { version } from "../version.ts";
import { forgetTokenServer } from "./remembered-keys.ts";
import { startTokenServer } from "./token-server.ts";
import { type Variable, valueOf, variable } from "./variables.ts";

/** The outside world of `jacamar try`: what a test replaces. */
export interface TryWorld {
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly workingDirectory: string;
  readonly stdout: LogSink & {
    readonly isTTY?: boolean;
    on?(event: "error", listener: (error: Error) => void): unknown;
  };
  readonly stderr: LogSink;
  /** The command that starts this program as a driver: Node, the file that runs, and `--no-auth`. */
  readonly driver: readonly [string, ...string[]];
  readonly version: string;
  /** Calls the function on each signal to this process; returns what takes it back. Default: the process's own. */
  readonly onSignal?: (signal: NodeJS.Signals, listener: () => void) => () => void;
  /** Seconds before another attempt to prepare and before a stage is tried again. Default: the runner's 3 and 5. */
  readonly waits?: { readonly prepare: number; readonly stage: number };
}

/** `jacamar try` in a terminal, with this very program as the driver. Returns and throws as {@link runTry}. */
export function tryHere(argv: readonly string[], terminal: Terminal): Promise<number> {
  return runTry(argv, { ...terminal, driver: [...terminal.program, "--no-auth"], version });
}

/**
 * `jacamar try`: runs a pipeline as GitLab Runner would, without a GitLab server. Returns the exit code: 0 when the
 * pipeline passed, 1 when a job failed, 2 when something else than a job failed, 130 when it was canceled.
 * Throws `usage` and `pipeline_invalid` before anything runs.
 */
export async function runTry(argv: readonly string[], world: TryWorld): Promise<number> {
  const wanted = parseTryArguments(argv);
  if (wanted.help) {
    world.stdout.write(helpText(tryCommand));
    return 0;
  }
  const temporaryDir = await makeTemporaryDirectory();
  try {
    return await runIn(temporaryDir, wanted, world);
  } finally {
    await rm(temporaryDir, { recursive: true, force: true });
  }
}

async function makeTemporaryDirectory(): Promise<string> {
  try {
    // The driver compares paths, so this must be the directory's real name.
    return await realpath(await mkdtemp(join(tmpdir(), "jacamar-try-")));
  } catch (cause) {
    const code = systemErrorCode(cause) ?? "unknown error";
    throw new JacamarError("usage", `Cannot make a temporary directory in "${tmpdir()}": ${code}`, {
      hint: "TMPDIR names another place.",
      cause,
    });
  }
}

async function runIn(temporaryDir: string, wanted: TryArguments, world: TryWorld): Promise<number> {
  const environment = inheritedEnvironment(world.environment);
  const file = await pipelineFile(resolve(world.workingDirectory, wanted.file));
  const git = { environment, temporaryDir };
  const root = await projectRoot(dirname(file), git);
  const text = await readText(file);
  const pipeline = readPipeline({
    file: file.startsWith(`${root}/`) ? file.slice(root.length + 1) : file,
    text,
    readLocal: (path) => readBelow(root, path)?.toString("utf8"),
  });
  const warn = new JobLog(world.stderr, { colour: false, secrets: [] });
  for (const warning of pipeline.warnings) warn.warning(warning);

  const jobs = wanted.jobs.length === 0 ? pipeline.jobs : chosenJobs(pipeline, wanted.jobs);
  const extra = jobs.filter((job) => wanted.jobs.length > 0 && !wanted.jobs.includes(job.name));
  if (extra.length > 0) {
    warn.line(`Before it runs ${extra.map((job) => `"${job.name}"`).join(", ")}, for the artifacts`);
  }
  const givenVariables = readGivenVariables(wanted, world);
  const pack = packer(root, git);
  const needsSources = jobs.some((job) => {
    const strategy = valueOf([...pipeline.variables, ...job.variables, ...givenVariables], "GIT_STRATEGY");
    return strategy !== "none" && strategy !== "empty";
  });
  const defaultDepth = Number.parseInt(valueOf([...pipeline.variables, ...givenVariables], "GIT_DEPTH") || "20", 10);
  const sources = needsSources ? await pack(Number.isNaN(defaultDepth) ? 20 : defaultDepth) : undefined;
  if (sources !== undefined) warn.line(sources.note);
  const { name: username, uid } = currentAccount();
  const login = wanted.login ?? username;
  const tokenServer = jobs.some((job) => job.idTokens.length > 0)
    ? await startTokenServer(wanted.tokenServerPort)
    : undefined;
  const forget = () => {
    if (tokenServer !== undefined) forgetTokenServer(tokenServer.address, currentAccount());
  };
  // A run that was killed may have left something, too.
  forget();
  if (tokenServer !== undefined) warn.line(`ID tokens: ${tokenServer.address} signs them for "${login}"`);
  const cancel = new AbortController();
  const forceCancel = new AbortController();
  const unlisten = listen(world, cancel, forceCancel, warn);
  try {
    const result = await runPipeline({
      pipeline,
      jobs,
      named: wanted.jobs,
      facts: {
        pipelineId: randomInt(100_000_000, 2_000_000_000),
        projectId: (createHash("sha256").update(root).digest().readUInt32BE(0) % 1_000_000_000) + 1,
        projectPath: sources?.remotePath ?? `${pathPart(login)}/${pathPart(basename(root))}`,
        configPath: file.startsWith(`${root}/`) ? file.slice(root.length + 1) : basename(file),
        sources,
        // GitLab counts from 1, and root is 0.
        user: { login, name: login, email: `${login}@localhost`, id: Math.max(1, uid) },
        runner: { shortToken: "try-local", description: "try", version: world.version },
        globalVariables: pipeline.variables,
        givenVariables,
        startedAt: new Date(),
      },
      tokenServer,
      // Another driver runs jobs as the user whose login it is.
      slotAccount: wanted.driver === undefined ? username : login,
      job: {
        driver: driverCommand(wanted, world),
        configuration: await configurationFile(wanted, world, temporaryDir, pipeline),
        environment,
        temporaryDir,
        diagnose: (line) => warn.line(line),
        cancel: cancel.signal,
        forceCancel: forceCancel.signal,
        gracefulTimeoutSeconds: wanted.gracefulTimeoutSeconds,
        sources: (depth) => (needsSources ? pack(depth) : Promise.resolve(undefined)),
        readProjectFile: (path) => readBelow(root, path),
        waits: world.waits ?? { prepare: 3, stage: 5 },
      },
      concurrent: wanted.concurrent,
      stdout: world.stdout,
      colour: world.stdout.isTTY === true && (world.environment["NO_COLOR"] ?? "") === "",
    });
    if (result.canceled) return 130;
    if (result.systemFailure) return 2;
    return [...result.states.values()].includes("failed") ? 1 : 0;
  } finally {
    unlisten();
    await tokenServer?.close();
    forget();
  }
}

/** First signal: cancel as GitLab's user interface does. Second one, or a terminal that is gone: no further stage. */
function listen(world: TryWorld, cancel: AbortController, forceCancel: AbortController, log: JobLog): () => void {
  const onSignal =
    world.onSignal ??
    ((signal: NodeJS.Signals, listener: () => void) => {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    });
  const stop = () => {
    if (!cancel.signal.aborted) {
      log.line("Canceling; once more to go straight to the clean-up");
      cancel.abort("canceled");
    } else if (!forceCancel.signal.aborted) {
      log.line("Going straight to the clean-up");
      forceCancel.abort("canceled");
    }
  };
  const hangUp = () => {
    cancel.abort("canceled");
    forceCancel.abort("canceled");
  };
  // Nobody reads the log any more: nothing is left to show, but the driver must still clean up.
  world.stdout.on?.("error", hangUp);
  const undo = [onSignal("SIGINT", stop), onSignal("SIGTERM", stop), onSignal("SIGHUP", hangUp)];
  return () => {
    for (const one of undo) one();
  };
}

function driverCommand(wanted: TryArguments, world: TryWorld): readonly [string, ...string[]] {
  if (wanted.driver === undefined) {
    const [program, ...args] = world.driver;
    return [program, ...args, ...wanted.driverArguments];
  }
  // The driver runs in a directory of its own, so a relative path would lead nowhere.
  const program = wanted.driver.includes("/") ? resolve(world.workingDirectory, wanted.driver) : wanted.driver;
  return [program, ...wanted.driverArguments];
}

async function configurationFile(
  wanted: TryArguments,
  world: TryWorld,
  temporaryDir: string,
  pipeline: Pipeline,
): Promise<string> {
  if (wanted.configuration !== undefined) return resolve(world.workingDirectory, wanted.configuration);
  const cache = world.environment["XDG_CACHE_HOME"] || join(currentAccount().home, ".cache");
  const lines = ["[general]", 'executor = "shell"', `data_dir = ${JSON.stringify(join(cache, "jacamar-try"))}`];
  if (pipeline.jobs.some((job) => job.image !== undefined)) lines.push('run_mechanism = "podman"');
  const file = join(temporaryDir, "jacamar.toml");
  await writeFile(file, `${lines.join("\n")}\n`, { mode: 0o600 });
  return file;
}

/** What a runner's service would have: nothing of another runner's contract. */
function inheritedEnvironment(environment: Readonly<NodeJS.ProcessEnv>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [key, value] of Object.entries(environment)) {
    if (value !== undefined && !key.startsWith("CUSTOM_ENV_")) result[key] = value;
  }
  return result;
}

function chosenJobs(pipeline: Pipeline, names: readonly string[]) {
  const known = pipeline.jobs.map((job) => job.name);
  for (const name of names) {
    if (known.includes(name)) continue;
    const hint = nearest(name, known) ?? `The jobs are: ${known.join(", ")}`;
    throw new JacamarError("pipeline_invalid", `There is no job "${name}"`, { hint });
  }
  return selectJobs(pipeline, names);
}

function readGivenVariables(wanted: TryArguments, world: TryWorld): Variable[] {
  const fromText = (text: string): [string, string] => {
    const equals = text.indexOf("=");
    if (equals >= 0) return [text.slice(0, equals), text.slice(equals + 1)];
    const value = world.environment[text];
    if (value !== undefined) return [text, value];
    throw new JacamarError("usage", `The variable "${text}" has no value, and the environment has none for it`);
  };
  return [
    ...wanted.variables.map((text) => variable(...fromText(text))),
    ...wanted.maskedVariables.map((text) => variable(...fromText(text), { public: false, masked: true })),
    ...wanted.fileVariables.map((text) => {
      const [key, path] = fromText(text);
      const content = readGivenFile(resolve(world.workingDirectory, path));
      return variable(key, content, { public: false, file: true, raw: true });
    }),
  ];
}

function readGivenFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new JacamarError("usage", `Cannot read "${path}": ${systemErrorCode(error) ?? String(error)}`, {
      cause: error,
    });
  }
}

function packer(root: string, git: { environment: Record<string, string>; temporaryDir: string }) {
  const packed = new Map<number, Promise<Sources>>();
  return (depth: number): Promise<Sources> => {
    const known = packed.get(depth);
    if (known !== undefined) return known;
    const started = mkdtemp(join(git.temporaryDir, "sources-")).then((temporaryDir) =>
      packSources(root, depth, { ...git, temporaryDir }),
    );
    packed.set(depth, started);
    return started;
  };
}

async function pipelineFile(path: string): Promise<string> {
  let file = path;
  try {
    if (statSync(path).isDirectory()) file = join(path, ".gitlab-ci.yml");
    return await realpath(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(path: string, error: unknown): JacamarError {
  const why = systemErrorCode(error) === "ENOENT" ? "there is no such file" : String(systemErrorCode(error) ?? error);
  return new JacamarError("pipeline_invalid", `Cannot read "${path}": ${why}`, { cause: error });
}

/** A file of the project; undefined when it is not there or is not a file. */
function readBelow(root: string, path: string): Buffer | undefined {
  if (path.split("/").includes("..")) return undefined;
  try {
    return readFileSync(join(root, path));
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
    throw error;
  }
}

function pathPart(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_.-]/g, "-").replaceAll(/^[.-]+|[.-]+$/g, "") || "project";
}
