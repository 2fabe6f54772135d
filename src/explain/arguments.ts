import { usualConfiguration } from "../config/usual-place.ts";
import { parseArguments, usage } from "../terminal/arguments.ts";
import { explainCommand } from "../terminal/commands/explain.ts";
import { didYouMean } from "../terminal/nearest.ts";

/** What the user asked for on the command line. */
export interface ExplainArguments {
  readonly help: boolean;
  readonly configuration: string;
  /** A saved job response; undefined for a job of a pipeline file. */
  readonly response: string | undefined;
  readonly file: string;
  readonly job: string | undefined;
  /** The GitLab login to explain the job for. */
  readonly login: string | undefined;
  /** What the RunAs script would answer. */
  readonly runAs: string | undefined;
  /** Stages to show the commands of; empty for the user's. */
  readonly stages: readonly string[];
  readonly runnerToken: string;
  readonly slot: number;
  /** User id of the account that GitLab Runner has. */
  readonly runnerId: number;
}

/** Reads the arguments of `jacamar explain`. Throws `usage`. */
export function parseExplainArguments(argv: readonly string[]): ExplainArguments {
  const { values, positionals } = parseArguments(explainCommand, argv);
  if (values.help !== true) {
    if ((values.response === undefined) === (values.job === undefined)) {
      throw usage(explainCommand, "Give either --response FILE or --job NAME");
    }
    for (const name of ["slot", "runner-id"] as const) {
      const isNumber = /^[0-9]{1,9}$/.test(values[name] ?? "0");
      if (!isNumber) throw usage(explainCommand, `--${name} is no whole number`);
    }
  }
  const stages = values.stage ?? [];
  const unknown = stages.find((name) => !isStage(name));
  if (unknown !== undefined) {
    throw usage(explainCommand, `There is no stage "${unknown}"${didYouMean(unknown, stageNames)}`);
  }
  return {
    help: values.help === true,
    configuration: values.configuration ?? usualConfiguration,
    response: values.response,
    file: positionals[0] ?? ".gitlab-ci.yml",
    job: values.job,
    login: values.login,
    runAs: values["run-as"],
    stages,
    runnerToken: values["runner-token"] ?? "runner",
    slot: Number(values.slot ?? "0"),
    runnerId: Number(values["runner-id"] ?? "0"),
  };
}

const stageNames: readonly string[] = explainCommand.options.stage.completes.words;

/** `run` of a job has steps with names of the user's. */
function isStage(name: string): boolean {
  return stageNames.includes(name) || /^step_[A-Za-z0-9_-]+$/.test(name);
}
