import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";
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

export const helpText = `Usage: jacamar init [options] [FILE]

Looks at this machine, asks for what it cannot see, writes a short jacamar.toml, and prints the [runners.custom] block for
the config.toml of GitLab Runner. An existing file is never overwritten.

FILE is /etc/gitlab-runner/jacamar.toml for root, and ~/.gitlab-runner/jacamar.toml for anybody else.

  --executor NAME        shell, slurm, flux, pbs or lsf (default: the scheduler that is found, else shell)
  --data-dir DIR         where all files of jobs go (default: $HOME/.jacamar-ci, in the home of the job's user)
  --podman, --no-podman  jobs that name an image run in rootless Podman, or not (default: if Podman is found)
  --runner-image IMAGE   the image for Git, artifacts and caches (default: they run on the host)
  --downscope WAY        setuid or sudo: each job runs as the user who started it; none: as this account, and is
                         authorised; no-auth: as this account (default: setuid for root, no-auth for anybody else)
  --gitlab-server URL    the GitLab server whose tokens count (default: the url of the runner's own config.toml)
  --tls-ca-file FILE     certificates that HTTPS trusts (default: as in the runner's own config.toml)
  --token-variable NAME  the CI variable with the ID token (default: SITE_ID_TOKEN)
  --yes                  ask nothing
  --help                 this text

Nothing is asked when standard input is no terminal. The block goes to standard output, all else to standard error.
Exit code: 0 written, 2 not written.
`;

/** Reads the command line. Throws `usage`. */
export function parseInitArguments(argv: readonly string[]): InitArguments {
  const { values, positionals } = parse(argv);
  if (positionals.length > 1) throw usage(`jacamar init takes one file, but there are ${positionals.length}`);
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

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      allowNegative: true,
      strict: true,
      options: {
        executor: { type: "string" },
        "data-dir": { type: "string" },
        podman: { type: "boolean" },
        "runner-image": { type: "string" },
        downscope: { type: "string" },
        "gitlab-server": { type: "string" },
        "tls-ca-file": { type: "string" },
        "token-variable": { type: "string" },
        yes: { type: "boolean", short: "y" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw usage(error.message);
  }
}

export function usage(message: string): JacamarError {
  return new JacamarError("usage", message, { hint: "See: jacamar init --help" });
}
