import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { BadOption, type CommandLine, readCommandLine } from "./command-line.ts";
import type { Call, Program } from "./front-end.ts";
import type { JobOutput } from "./job.ts";
import { badUsage, errors, exitCodeOf, idOf } from "./pbs-words.ts";

const queues = ["workq", "short", "closed"];

/** qsub(1B). It reads letters only, and begins no background process here. */
export const qsub: Program = async (call, cluster) => {
  let line: CommandLine;
  try {
    line = readCommandLine(call.args, { short: "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:q:r:R:S:u:v:VW:XzP:" });
  } catch (error) {
    if (error instanceof BadOption) return badUsage(call, error);
    throw error;
  }
  const value = (letter: string) => line.options.get(letter)?.at(-1);
  const name = value("N") ?? line.rest[0]?.split("/").at(-1) ?? "STDIN";
  if (!/^[A-Za-z0-9_.+-]{1,236}$/.test(name)) {
    call.err(`qsub: illegal -N value\nusage: qsub [options]\n`);
    return 2;
  }
  const refuse = (error: readonly [number, string], what = "") => {
    call.err(`qsub: ${error[1]}${what === "" ? "" : ` ${what}`}\n`);
    return exitCodeOf(error);
  };
  const queue = value("q") ?? "workq";
  if (!queues.includes(queue)) return refuse(errors.unknownQueue);
  const resources = resourcesOf(line);
  const unknown = [...resources.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined) return refuse(errors.unknownResource, `Resource_List.${unknown}`);
  const walltime = resources.get("walltime");
  const limit = walltime === undefined ? undefined : secondsOf(walltime);
  if (walltime !== undefined && limit === undefined) return refuse(errors.badValue, "Resource_List.walltime");
  if (queue === "short" && (limit ?? 0) > 60) return refuse(errors.tooMuch);
  const script = readScript(call, line.rest);
  if (script === undefined) return 1;
  const home = call.environment["HOME"] ?? "/";
  const job = cluster.submit({
    userName: call.userName,
    name,
    script,
    // The login shell, or the one of -S, is told the script's name; the script's first line then picks what runs it.
    interpreter: [],
    scriptArguments: [],
    environment: environmentOf(call, line, home),
    workingDirectory: home,
    ...outputOf(call, line, name),
    queue,
    timeLimitSeconds: limit ?? (queue === "short" ? 60 : undefined),
    held: queue === "closed" ? "stopped" : line.options.has("h") ? "hold" : line.options.has("a") ? "wait" : undefined,
    requeues: value("r") !== "n",
    gpus: Number(/ngpus=(\d+)/.exec(resources.get("select") ?? "")?.[1] ?? resources.get("ngpus") ?? 0),
  });
  if (!line.options.has("z")) call.out(`${idOf(job)}\n`);
  if (!(line.options.get("W") ?? []).some((attribute) => /(^|,)block=true/i.test(attribute))) return 0;
  await cluster.ended(job);
  return job.end?.exitCode ?? 1;
};

const known = ["select", "place", "walltime", "mem", "ncpus", "nodes", "ngpus", "cput", "pmem", "vmem", "ppn"];

/** `-l a=1,b=2`. A value of `select` or `nodes` may hold more. */
function resourcesOf(line: CommandLine): Map<string, string> {
  const found = new Map<string, string>();
  for (const list of line.options.get("l") ?? []) {
    for (const item of list.split(",")) {
      const equals = item.indexOf("=");
      found.set(equals === -1 ? item : item.slice(0, equals), equals === -1 ? "" : item.slice(equals + 1));
    }
  }
  return found;
}

/** `1:00:00`, `90`, `1:30`. */
function secondsOf(text: string): number | undefined {
  if (!/^\d+(:\d+){0,2}$/.test(text)) return undefined;
  return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** A login's, and of the caller's only what `-V` or `-v` name. */
function environmentOf(call: Call, line: CommandLine, home: string): Record<string, string> {
  const { environment } = call;
  const own = Object.fromEntries(
    ["PATH", "LANG", "LOGNAME", "SHELL", "USER", "JACAMAR_STAND_IN"].flatMap((name) =>
      environment[name] === undefined ? [] : [[name, environment[name]]],
    ),
  );
  const whole = line.options.has("V") ? environment : {};
  const named = (line.options.get("v") ?? []).flatMap((list) =>
    list.split(",").map((item): [string, string] => {
      const [name = "", ...value] = item.split("=");
      return [name, value.length > 0 ? value.join("=") : (environment[name] ?? "")];
    }),
  );
  return { ...whole, ...own, ...Object.fromEntries(named), HOME: home, PBS_O_WORKDIR: call.workingDirectory };
}

/** Spooled on the node and copied at the end, unless `-k` with a `d` writes it to its place directly. */
function outputOf(call: Call, line: CommandLine, name: string): { output: JobOutput; error: JobOutput | undefined } {
  const value = (letter: string) => line.options.get(letter)?.at(-1);
  const directly = /d/.test(value("k") ?? "");
  const at = (given: string | undefined, ending: string): JobOutput => {
    const path = resolve(call.workingDirectory, given?.replace(/^[^/:]*:/, "") ?? `${name}.${ending}`);
    return { path, mode: "truncate", when: directly ? "directly" : "at-the-end" };
  };
  const joined = value("j") === "oe" || value("j") === "eo";
  return { output: at(value("o"), "o"), error: joined ? undefined : at(value("e"), "e") };
}

function readScript(call: Call, rest: readonly string[]): string | undefined {
  const path = rest[0] ?? "";
  try {
    return readFileSync(resolve(call.workingDirectory, path), "utf8");
  } catch {
    call.err(`qsub: script file:: No such file or directory\n`);
    return undefined;
  }
}
