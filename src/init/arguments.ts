import type { JacamarError } from "../error/error.ts";
import { parseArguments, usage as usageOf } from "../terminal/arguments.ts";
import { initCommand } from "../terminal/commands/init.ts";
import type { Answers, Downscope } from "./answers.ts";

/** What `jacamar init` was asked for. */
export interface InitArguments {
  readonly help: boolean;
  /** Undefined for the usual place. */
  readonly file: string | undefined;
  /** Nothing is asked: what no option says is taken as it was seen. */
  readonly yes: boolean;
  readonly given: Partial<Answers>;
}

const ways: readonly Downscope[] = ["setuid", "sudo", "none", "no-auth"];

/** Reads the command line. Throws `usage`. */
export function parseInitArguments(argv: readonly string[]): InitArguments {
  const { values, positionals } = parseArguments(initCommand, argv);
  const { executor, downscope } = values;
  const way = ways.find((one) => one === downscope);
  if (downscope !== undefined && way === undefined)
    throw usage(`--downscope must be one of ${ways.join(", ")}, not "${downscope}"`);
  const given: Partial<Answers> = {
    ...(executor === undefined ? {} : { executor }),
    ...(way === undefined ? {} : { downscope: way }),
    ...(values["data-dir"] === undefined ? {} : { dataDir: values["data-dir"] }),
    ...(values.podman === undefined ? {} : { podman: values.podman }),
    ...(values["runner-image"] === undefined ? {} : { runnerImage: values["runner-image"] }),
    ...(values["gitlab-server"] === undefined ? {} : { gitlabServer: values["gitlab-server"] }),
    ...(values["tls-ca-file"] === undefined ? {} : { tlsCaFile: values["tls-ca-file"] }),
    ...(values["token-variable"] === undefined ? {} : { tokenVariable: values["token-variable"] }),
  };
  return { help: values.help === true, file: positionals[0], yes: values.yes === true, given };
}

/** A call that `jacamar init` cannot take. */
export function usage(message: string): JacamarError {
  return usageOf(initCommand, message);
}
