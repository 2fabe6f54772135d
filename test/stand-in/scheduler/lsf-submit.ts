import { resolve } from "node:path";
import { BadOption, type CommandLine, readCommandLine } from "./command-line.ts";
import type { Program } from "./front-end.ts";
import type { JobOutput } from "./job.ts";
import { exitCodeOf } from "./lsf-words.ts";

const queues = ["normal", "short", "closed"];

/** bsub(1), with the options that change what it answers. A word that is no option begins the command, which sh(1) reads. */
export const bsub: Program = async (call, cluster) => {
  let line: CommandLine;
  try {
    line = readCommandLine(call.args, {
      short: "a:b:c:C:D:e:E:f:F:G:g:HI:i:J:Kk:L:M:m:Nn:o:P:p:Q:q:R:rS:s:t:T:u:v:W:w:xX:".replace("I:", "I"),
      singleDash: true,
      long: {
        app: true,
        cwd: true,
        env: true,
        eo: true,
        gpu: true,
        oo: true,
        outdir: true,
        We: true,
        sla: true,
        ul: false,
      },
    });
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    call.err(`${error.word}: Illegal option. Job not submitted.\n`);
    return 255;
  }
  const value = (name: string) => line.options.get(name)?.at(-1);
  const refuse = (words: string) => {
    call.err(`${words}. Job not submitted.\n`);
    return 255;
  };
  const name = value("J");
  if (name !== undefined && /^[0-9]+$/.test(name)) return refuse("Bad job name");
  const queue = value("q") ?? "normal";
  if (!queues.includes(queue)) return refuse(`${queue}: No such queue`);
  const limit = value("W");
  const minutes = limit === undefined ? undefined : minutesOf(limit);
  if (limit !== undefined && minutes === undefined) return refuse(`${limit}: Bad RUNLIMIT specification`);
  if (queue === "short" && (minutes ?? 0) > 1) return refuse("Cannot exceed queue's hard limit(s)");
  const command = line.rest.join(" ");
  if (command === "") return refuse("No command is specified");
  const directory = resolve(call.workingDirectory, value("cwd") ?? ".");
  const at = (path: string, mode: JobOutput["mode"]): JobOutput => ({
    path: resolve(directory, path),
    mode,
    when: "at-the-end",
  });
  const [output, error] = [value("oo") ?? value("o"), value("eo") ?? value("e")];
  const job = cluster.submit({
    userName: call.userName,
    name: name ?? command,
    // LSB_TRAPSIGS: the shell around the command outlives what is sent to the job, and ends with the command's own code.
    script: `trap : 15 10 12 2 1\n${command}\n`,
    interpreter: ["/bin/sh"],
    scriptArguments: [],
    environment: value("env") === "none" ? { HOME: call.environment["HOME"] ?? "/" } : call.environment,
    workingDirectory: directory,
    output: output === undefined ? undefined : at(output, value("oo") === undefined ? "append" : "truncate"),
    error: error === undefined ? undefined : at(error, value("eo") === undefined ? "append" : "truncate"),
    queue,
    timeLimitSeconds: (minutes ?? (queue === "short" ? 1 : undefined)) === undefined ? undefined : (minutes ?? 1) * 60,
    held:
      queue === "closed"
        ? "The queue has been closed for dispatching"
        : line.options.has("H")
          ? "suspended"
          : undefined,
    requeues: line.options.has("r"),
    gpus: Number(/num=(\d+)/.exec(value("gpu") ?? "")?.[1] ?? 0),
  });
  const which = value("q") === undefined ? `default queue <${queue}>` : `queue <${queue}>`;
  call.out(`Job <${job.number}> is submitted to ${which}.\n`);
  if (!line.options.has("K")) return 0;
  call.err("<<Waiting for dispatch ...>>\n");
  await cluster.ended(job);
  call.err("<<Job is finished>>\n");
  return exitCodeOf(job);
};

/** `90`, `1:30`, `1:30/host`. */
function minutesOf(text: string): number | undefined {
  const [, hours, minutes] = /^(?:(\d+):)?(\d+)(?:\/.*)?$/.exec(text) ?? [];
  return minutes === undefined ? undefined : Number(hours ?? 0) * 60 + Number(minutes);
}
