import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";
import type { CommandDescription } from "./commands/description.ts";
import { wrongOption } from "./wrong-option.ts";

/**
 * Reads the arguments of a command: only what its description has. Throws `usage` for an option that is unknown or wrong, and for more
 * operands than there are.
 */
export function parseArguments<Description extends CommandDescription>(
  description: Description,
  argv: readonly string[],
) {
  const parsed = parse(description, argv);
  const { operands } = description;
  const most = operands.at(-1)?.multiple === true ? Number.POSITIVE_INFINITY : operands.length;
  if (parsed.positionals.length > most) {
    const takes = most === 0 ? `no "${parsed.positionals[0]}"` : `one file, but there are ${parsed.positionals.length}`;
    throw usage(description, `jacamar ${description.name} takes ${takes}`);
  }
  return parsed;
}

function parse<Description extends CommandDescription>(description: Description, argv: readonly string[]) {
  const options: Description["options"] = description.options;
  const allowNegative = Object.values(description.options).some(({ negative }) => negative === true);
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, allowNegative, strict: true, options });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw usage(description, wrongOption(description.options, argv, allowNegative) ?? error.message, error);
  }
}

/** A call that a command cannot take; the hint says where to read how. */
export function usage({ name }: Pick<CommandDescription, "name">, message: string, cause?: unknown): JacamarError {
  return new JacamarError("usage", message, { hint: `See: jacamar ${name} --help`, cause });
}
