import { refuseNoNewPrivs, requireDownscope, requireFilter, requireServer } from "../../auth/requirements.ts";
import type { Path } from "../../config/inspect.ts";
import type { Config } from "../../config/schema.ts";
import { valueAt } from "../../config/toml.ts";
import { JacamarError } from "../../error/error.ts";
import { callFilter } from "../../seccomp/filter.ts";
import { chooseSink, defaultLogging } from "../../system-log/sink.ts";
import type { Finding, Rule } from "../rule.ts";

export const incompleteAuth: Rule = {
  name: "auth-incomplete",
  severity: "problem",
  means: "`[auth]` stands in the file, and `jacamar-auth` would refuse every job with it.",
  why: "Without the server's name no token can be verified; without a way to give the runner's rights up no job may run; and some keys exclude each other.",
  remedy: "Add or remove the key that the message names. A file for `jacamar --no-auth` alone needs no `[auth]`.",
  find: ({ config, table }) => {
    if (config.auth === undefined) return [];
    const auth: Path = ["auth"];
    // What stands in the file and cannot be used is told already.
    const isWrong = (path: Path, value: unknown): boolean => value === undefined && valueAt(table, path) !== undefined;
    return [
      ...(isWrong([...auth, "downscope"], config.auth.downscope) ? [] : refused(auth, () => requireDownscope(config))),
      ...refused([...auth, "no_new_privs"], () => refuseNoNewPrivs(config)),
      ...(isWrong(["general", "gitlab_server"], config.general.gitlab_server)
        ? []
        : refused(config.general.gitlab_server === undefined ? ["general"] : ["general", "gitlab_server"], () =>
            requireServer(config),
          )),
      ...refused([...auth, "logging"], () => chooseSink(config.auth?.logging ?? defaultLogging)),
      ...refused([...auth, "seccomp"], () => requireFilter(config, undefined)),
      ...rootOnly(config),
    ];
  },
};

function refused(path: Path, ask: () => unknown): Finding[] {
  try {
    ask();
    return [];
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    const hint = error.hint === undefined ? "" : `. ${error.hint}`;
    return [{ path, at: "key", message: `${error.message}${hint}` }];
  }
}

function rootOnly({ auth }: Config): Finding[] {
  if (auth?.root_dir_creation !== true || auth.downscope !== "sudo") return [];
  const path = ["auth", "root_dir_creation"];
  return [{ path, at: "key", message: 'needs root, and with downscope = "sudo" the runner is not root' }];
}

export const protectionOff: Rule = {
  name: "protection-off",
  severity: "warning",
  means: "A key turns a protection off, or lets it look away.",
  why: "The message says which one, and what it would have stopped.",
  remedy: "Turn it on again unless the site has a reason that it could tell an auditor.",
  find: ({ config }) =>
    [...generalLooseness(config), ...authLooseness(config)]
      .filter(([holds]) => holds)
      .map(([, path, message]): Finding => ({ path, at: "key", message })),
};

/** Whether something is loose, the key that makes it so, and what it would have stopped. */
type Looseness = readonly [holds: boolean, path: Path, message: string];

/** ID tokens end after minutes; more slack than that is not for clocks. */
const longestDelaySeconds = 600;

function generalLooseness({ general, batch }: Config): Looseness[] {
  return [
    [
      general.unrestricted_cmd_line,
      ["general", "unrestricted_cmd_line"],
      "shows the tokens of jobs to everybody on the machine, on command lines",
    ],
    [
      batch.allow_illegal_args,
      ["batch", "allow_illegal_args"],
      "lets users take the arguments by which their jobs are found and followed, so that a job may be lost",
    ],
  ];
}

function authLooseness({ auth }: Config): Looseness[] {
  if (auth === undefined) return [];
  const { logging, runas } = auth;
  return [
    [
      auth.jwt_required_aud === undefined,
      ["auth"],
      "jwt_required_aud is not set: a token that a job made for another service is taken, too",
    ],
    [
      auth.allow_bot_accounts && runas?.validation_script !== undefined,
      ["auth", "allow_bot_accounts"],
      "lets accounts run jobs whose names GitLab's users choose themselves; the RunAs script must refuse what it does not know",
    ],
    [
      auth.jwt_exp_delay > longestDelaySeconds,
      ["auth", "jwt_exp_delay"],
      "lets tokens be used long after they have ended; clocks are better kept right",
    ],
    [
      auth.seccomp?.disabled === true && callFilter({ ...auth.seccomp, disabled: false }) !== undefined,
      ["auth", "seccomp", "disabled"],
      "lets jobs make the system calls that the table would block",
    ],
    [logging?.enabled === false, ["auth", "logging", "enabled"], "leaves no trace of who ran what"],
    [logging?.required === false, ["auth", "logging", "required"], "lets jobs run whose decision nobody can look up"],
    [
      auth.downscope === "none",
      ["auth", "downscope"],
      "all jobs run as the account of the runner, and can read what the others left",
    ],
  ];
}
