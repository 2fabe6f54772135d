import { checkCommand } from "./commands/check.ts";
import type { CommandDescription } from "./commands/description.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { initCommand } from "./commands/init.ts";
import { reportCommand } from "./commands/report.ts";
import { reapCommand } from "./commands/reap.ts";
import { tryCommand } from "./commands/try.ts";

/**
 * The commands for people. `--help`, docs/commands.md, the manual pages and the completions of the shells are all made of
 * these descriptions, and a command takes no option that is not in its own.
 *
 * To add a command NAME:
 * 1. Describe it in `commands/NAME.ts`, and add it here, in the order in which help lists it.
 * 2. Read its arguments with `parseArguments(NAMECommand, argv)` and print `helpText(NAMECommand)` for `--help`. Both are of this
 *    folder; `parseArgs` of Node may be called nowhere else.
 * 3. Add it to `tools` in `main.ts`, and to `lazyModules` in `scripts/build.ts`. The compiler asks for the first.
 * 4. `npm run docs`.
 */
export const commands = {
  init: initCommand,
  check: checkCommand,
  doctor: doctorCommand,
  report: reportCommand,
  explain: explainCommand,
  reap: reapCommand,
  try: tryCommand,
} as const satisfies Readonly<Record<string, CommandDescription>>;

export type CommandName = keyof typeof commands;
