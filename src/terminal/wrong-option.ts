import { parseArgs } from "node:util";
import type { OptionDescription, Options } from "./commands/description.ts";
import { didYouMean } from "./nearest.ts";

/** What is wrong with the options of a call that Node's `parseArgs` refuses, or undefined when that is none of the options. */
export function wrongOption(options: Options, argv: readonly string[], allowNegative: boolean): string | undefined {
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    allowPositionals: true,
    allowNegative,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    const why = option === undefined ? unknown(token.rawName, options) : misused(token, option);
    if (why !== undefined) return why;
  }
  return undefined;
}

interface OptionToken {
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function unknown(name: string, options: Options): string {
  const known = Object.entries(options).flatMap(([long, { negative }]) => [
    `--${long}`,
    ...(negative === true ? [`--no-${long}`] : []),
  ]);
  const hint = name.startsWith("--") ? didYouMean(name, known, (option) => option) : "";
  return `There is no option ${name}${hint}`;
}

function misused({ rawName, value, inlineValue }: OptionToken, option: OptionDescription): string | undefined {
  if (option.type === "boolean") return value === undefined ? undefined : `${rawName} takes no value`;
  const what = option.value ?? "value";
  if (value === undefined) return `${rawName} needs a value: ${rawName} ${what}`;
  if (inlineValue === true || !/^-./.test(value)) return undefined;
  const joined = rawName.startsWith("--") ? `${rawName}=${value}` : `${rawName}${value}`;
  return `${rawName} needs a value, and ${value} looks like an option; if it is the ${what}: ${joined}`;
}
