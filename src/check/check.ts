import { resolve } from "node:path";
import {
  type ConfigurationFile,
  readConfigurationFile,
  readConfigurationInput,
  readRunnerConfiguration,
} from "../config/file.ts";
import type { Fault } from "../config/inspect.ts";
import { checkConfiguration, type FurtherRules } from "../config/load.ts";
import { formatFinding, type Problem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import type { JacamarError } from "../error/error.ts";
import { checkCommand } from "../terminal/commands/check.ts";
import { helpText } from "../terminal/help.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { type CheckArguments, parseCheckArguments } from "./arguments.ts";
import { repaired } from "./repaired.ts";
import type { CheckSubject, Documented } from "./rule.ts";
import { whyNoProgram } from "./rules/files.ts";
import { rules } from "./rules.ts";

export const distrustedFile: Documented = {
  name: "file-distrusted",
  severity: "problem",
  means: "Others than root and the account that runs jobs can write the configuration.",
  why: "Whoever can write it decides as whom jobs run and what runs before them. So no job runs with it.",
  remedy:
    "`chown root: FILE; chmod go-w FILE`. A checkout in a pipeline is often open to all: there use `--elsewhere`.",
};

/** What was found in a configuration. */
export interface Report {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * `jacamar check`: prints what is wrong with a configuration. Returns 0 when nothing is, else 1.
 * Throws `usage`, and `config_unreadable` for a file that cannot be read.
 */
export async function checkHere(argv: readonly string[], terminal: Terminal): Promise<number> {
  const wanted = parseCheckArguments(argv);
  if (wanted.help) {
    terminal.stdout.write(helpText(checkCommand));
    return 0;
  }
  const report = await checkFiles(wanted, terminal.workingDirectory);
  const failed = report.problems.length > 0 || (wanted.strict && report.warnings.length > 0);
  terminal.stdout.write(wanted.json ? asJson(wanted.file, report) : asText(wanted.file, report));
  return failed ? 1 : 0;
}

async function checkFiles(wanted: CheckArguments, workingDirectory: string): Promise<Report> {
  const own = wanted.file === "-" ? { text: readConfigurationInput() } : readConfigurationFile(wanted.file);
  const { config, ...report } = await checkText(own, wanted);
  if (wanted.runnerConfig === undefined) return report;
  const { inspectRunnerConfig } = await import("./runner-config.ts");
  const { placeFaults } = await import("../config/place.ts");
  const path = resolve(workingDirectory, wanted.file);
  const runner = inspectRunnerConfig(
    readRunnerConfiguration(wanted.runnerConfig),
    { path, config, elsewhere: wanted.elsewhere },
    wanted.elsewhere ? undefined : whyNoProgram,
  );
  const place = (faults: readonly Fault[]) => placeFaults(faults, runner.inspection, wanted.runnerConfig ?? "");
  return {
    problems: [...report.problems, ...place(runner.problems)],
    warnings: [...report.warnings, ...place(runner.warnings)],
  };
}

/** Checks one configuration by the schema and by every rule. */
export async function checkText(
  own: Pick<ConfigurationFile, "text"> & Partial<ConfigurationFile>,
  { file, elsewhere }: Pick<CheckArguments, "file" | "elsewhere">,
): Promise<Report & { readonly config: Config | undefined }> {
  const { text, uid, mode, distrust } = own;
  const known = uid === undefined || mode === undefined || elsewhere ? undefined : { path: resolve(file), uid, mode };
  let config: Config | undefined;
  const further: FurtherRules = async (inspection) => {
    config = repaired(inspection);
    if (config === undefined || inspection.table === undefined) return { problems: [], warnings: [] };
    return applyRules({ config, table: inspection.table, file: known, elsewhere });
  };
  const name = file === "-" ? "standard input" : file;
  const report = await checkConfiguration(text, name, further);
  if (distrust === undefined || elsewhere) return { ...report, config };
  // Root reads a file of the runner's account: for that account it is right.
  if (process.geteuid?.() === 0 && mode !== undefined && (mode & 0o022) === 0) {
    const warning = { ...distrustProblem(name, distrust), expected: "GitLab Runner to run as that account" };
    return { config, problems: report.problems, warnings: [warning, ...report.warnings] };
  }
  return { config, problems: [distrustProblem(name, distrust), ...report.problems], warnings: report.warnings };
}

async function applyRules(subject: CheckSubject): Promise<{ problems: Fault[]; warnings: Fault[] }> {
  const found = await Promise.all(
    rules.map(async (rule) => {
      const findings = await rule.find(subject);
      return findings.map((finding): Fault & { severity: Documented["severity"] } => ({
        ...finding,
        rule: rule.name,
        severity: rule.severity,
      }));
    }),
  );
  const all = found.flat();
  return {
    problems: all.filter(({ severity }) => severity === "problem"),
    warnings: all.filter(({ severity }) => severity === "warning"),
  };
}

function distrustProblem(file: string, { message, hint }: JacamarError): Problem {
  const expected = hint === undefined ? {} : { expected: `the file to be safe. ${hint}` };
  return { file, line: 1, column: 1, path: "", message, ...expected, rule: distrustedFile.name };
}

function asText(file: string, { problems, warnings }: Report): string {
  const lines = [
    ...problems.map((problem) => formatFinding(problem, "problem")),
    ...warnings.map((problem) => formatFinding(problem, "warning")),
  ];
  const name = file === "-" ? "standard input" : file;
  return `${[...lines, `${name}: ${count(problems.length, "problem")}, ${count(warnings.length, "warning")}`].join("\n")}\n`;
}

function count(number: number, what: string): string {
  return `${number === 0 ? "no" : number} ${what}${number === 1 ? "" : "s"}`;
}

function asJson(file: string, { problems, warnings }: Report): string {
  return `${JSON.stringify({ file, problems, warnings }, undefined, 2)}\n`;
}
