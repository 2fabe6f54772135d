import { capture } from "../../process/capture.ts";
import { defineCheck, outcomeOf, skipped } from "../check.ts";
import { onPath } from "../../process/program-path.ts";

type Name = "scheduler-missing" | "scheduler-silent";

const answerSeconds = 4;

/** The programs that jobs are submitted, watched and cancelled with, and a question to which a scheduler that is there answers at once. */
const schedulers: Readonly<
  Record<string, { title: string; programs: readonly string[]; question: readonly [string, ...string[]] }>
> = {
  slurm: { title: "Slurm", programs: ["sbatch", "squeue", "scontrol", "scancel"], question: ["scontrol", "ping"] },
  flux: { title: "Flux", programs: ["flux"], question: ["flux", "getattr", "size"] },
  pbs: { title: "PBS", programs: ["qsub", "qstat", "qdel"], question: ["qstat", "-B"] },
  lsf: { title: "LSF", programs: ["bsub", "bjobs", "bkill"], question: ["lsid"] },
};

export const scheduler = defineCheck<Name>({
  name: "scheduler",
  looksAt: "The scheduler of `executor`: whether its programs are there, and whether it answers this user.",
  network: false,
  ofMachine: false,
  explains: ["scheduler_unavailable"],
  entries: {
    "scheduler-missing": {
      level: "wrong",
      means: "A program of the scheduler is neither in `scheduler_bin` nor on the PATH of the user's login.",
      why: "Jobs cannot be submitted, watched or cancelled.",
      todo: "Set `scheduler_bin` in `[batch]`, or load the scheduler's module in `/etc/profile.d`.",
    },
    "scheduler-silent": {
      level: "wrong",
      means: "The scheduler does not answer, or refuses.",
      why: "Its daemon is down, this machine is no client of it, or the user may not use it (for Slurm: munge).",
      todo: "Run the command of the message as the user.",
    },
  },
  async look(subject, report) {
    const known = schedulers[subject.config.general.executor ?? ""];
    if (known === undefined) return skipped("jobs run on this machine");
    const environment = await subject.login();
    const directory = subject.config.batch.scheduler_bin;
    const path = directory ?? environment["PATH"] ?? "";
    const missing = known.programs.filter((program) => onPath(program, path) === undefined);
    if (missing.length > 0) {
      const text = `${known.title} has no ${missing.join(", ")} in ${directory ?? "the PATH of your login"}`;
      const advice = "the administrator sets the place with scheduler_bin in [batch]";
      return outcomeOf([report("scheduler-missing", text, advice)], "");
    }
    const [program, ...args] = known.question;
    const answer = await capture(
      { argv: [onPath(program, path) ?? program, ...args], environment, workingDirectory: "/" },
      { timeoutSeconds: answerSeconds, stop: subject.stop },
    );
    const command = known.question.join(" ");
    // scontrol says DOWN and ends with 0 or 1, by its version.
    const isDown = /\bis DOWN\b/.test(answer.stdout) && !/\bis UP\b/.test(answer.stdout);
    if ("exitCode" in answer.ending && answer.ending.exitCode === 0 && !isDown)
      return outcomeOf([], `${known.title} answers; containers run on its nodes: look there, too`);
    const said =
      "signal" in answer.ending
        ? `no answer within ${answerSeconds} s`
        : (lastOf(answer.stderr) ?? lastOf(answer.stdout) ?? "no message");
    const text = `${known.title} does not answer (${command}): ${said}`;
    return outcomeOf(
      [report("scheduler-silent", text, "show this line to the administrator", { by: "user", command })],
      "",
    );
  },
});

function lastOf(text: string): string | undefined {
  return text.trim().split("\n").at(-1)?.slice(0, 300) || undefined;
}
