import { JacamarError } from "../error/error.ts";
import { type ConfigurationFile, readConfigurationFile } from "./file.ts";
import { type Fault, type Inspection, inspect } from "./inspect.ts";
import { formatProblem, type Problem } from "./problem.ts";
import type { Config } from "./schema.ts";
import { uselessKeys } from "./useless-keys.ts";

export { formatProblem, type Problem } from "./problem.ts";

export interface Check {
  /** Undefined when the file is not what the schema wants. */
  readonly config: Config | undefined;
  /** What keeps every job from running, in the order of the file. */
  readonly problems: readonly Problem[];
  /** What is allowed and probably not meant, in the order of the file. */
  readonly warnings: readonly Problem[];
}

/** What is found beside what the schema says. Its config is undefined when the file has mistakes of form. */
export type FurtherRules = (inspection: Inspection) => Promise<{
  readonly problems: readonly Fault[];
  readonly warnings: readonly Fault[];
}>;

/**
 * Reads and checks the configuration file. Whether the programs, files and images that it names exist is not looked at.
 *
 * Throws `config_unreadable` for a file that cannot be read or that others than root and we could have written, and
 * `config_invalid` with all mistakes of the file, one to a line.
 */
export async function loadConfiguration(path: string): Promise<Config> {
  const { text, distrust } = readConfigurationFile(path);
  if (distrust !== undefined) throw distrust;
  if (typeof text !== "string") throw invalid([notText(path, text)]);
  const inspection = await inspect(text);
  if (inspection.config !== undefined) return inspection.config;
  throw invalid(await placed(inspection.faults, inspection, path));
}

/**
 * Checks the text of a configuration file. Never throws for a text. Finding the places of problems and warnings loads
 * what a job does not need, so jobs use `loadConfiguration`, which does so for problems alone.
 *
 * @param further rules of the caller's, whose findings get their places, too.
 */
export async function checkConfiguration(
  text: ConfigurationFile["text"],
  fileName: string,
  further?: FurtherRules,
): Promise<Check> {
  if (typeof text !== "string") return { config: undefined, problems: [notText(fileName, text)], warnings: [] };
  const inspection = await inspect(text);
  const { config, table } = inspection;
  const useless = config === undefined || table === undefined ? [] : uselessKeys(config, table);
  const more = (await further?.(inspection)) ?? { problems: [], warnings: [] };
  return {
    config,
    problems: await placed([...inspection.faults, ...more.problems], inspection, fileName),
    warnings: await placed([...inspection.warnings, ...useless, ...more.warnings], inspection, fileName),
  };
}

function notText(file: string, at: { line: number; column: number }): Problem {
  return { file, ...at, path: "", message: "this is not UTF-8" };
}

async function placed(faults: readonly Fault[], inspection: Inspection, file: string): Promise<Problem[]> {
  if (faults.length === 0) return [];
  const { placeFaults } = await import("./place.ts");
  return placeFaults(faults, inspection, file);
}

function invalid(problems: readonly Problem[]): JacamarError {
  return new JacamarError("config_invalid", problems.map(formatProblem).join("\n"), {
    hint: "man jacamar.toml (docs/configuration.md) describes every key. No job runs until the file is right.",
  });
}
