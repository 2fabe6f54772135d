import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { readUidMin } from "../account/login-definitions.ts";
import { knownNames, lookUpAccount, type SystemAccount } from "../account/lookup.ts";
import { whyImpersonal } from "../account/system-account.ts";
import { requireFilter } from "../auth/requirements.ts";
import { readyFilter } from "../command/ready-filter.ts";
import { becomeUser } from "../downscope/setuid.ts";
import { JacamarError } from "../error/error.ts";
import type { Config } from "../config/schema.ts";
import { printable } from "../log/job-log.ts";
import { capture } from "../process/capture.ts";
import type { Terminal } from "../terminal/terminal.ts";
import type { ReapArguments } from "./arguments.ts";

/** What one user may take: programs of theirs run meanwhile. A scheduler's node waits for its epilog. */
const userSeconds = 600;
const batchJobSeconds = 120;

/** Names the user whom a process of {@link reapOthers} is to become. */
const reaperVariable = "JACAMAR_CI_REAPER_OF";

/** Whose, as root. */
export type Others = NonNullable<ReapArguments["of"]>;

/** Whether this process was started to become the user. */
export function isReaperOf(of: Others, { environment }: Terminal): of is Exclude<Others, "all"> {
  return of !== "all" && environment[reaperVariable] === of.user;
}

/**
 * As root: this very process becomes that user, for good. Nothing of the user's was looked at before. Throws `usage` without root,
 * `account_unknown`, `downscope_failed`, or `config_invalid` for a filter on system calls that no job could run under.
 */
export async function becomeUserNamed(name: string, config: Config): Promise<void> {
  requireRoot();
  const person = await findPerson(name, readUidMin());
  if (person === undefined) {
    throw new JacamarError("account_unknown", `There is no user "${name}" whose jobs could run here`);
  }
  // Programs of the user's run meanwhile.
  const callFilter = requireFilter(config, process.geteuid?.());
  const filter = await readyFilter({ ...person, noNewPrivs: config.auth?.no_new_privs === true, callFilter });
  becomeUser(person, filter);
}

/** The account of that very name, unless no job may run as it: root's, the system's, a service's, nobody's. */
async function findPerson(name: string, uidMin: number): Promise<SystemAccount | undefined> {
  const answer = await lookUpAccount(name);
  if (!answer.found || answer.account.name !== name) return undefined;
  return whyImpersonal(answer.account, uidMin) === undefined ? answer.account : undefined;
}

/**
 * As root: this program again for a user, or for each user of the system, one after the other, each of which becomes its user. That
 * process is the user's then, who can stop it, and make programs fail that it calls: so it has its time, is killed with all that it
 * has started, and decides nothing for a scheduler, which would take the node from everybody. Returns the highest exit code, and 0
 * for a job of the scheduler.
 *
 * Throws `usage` without root, `account_unknown` when nobody lists the users.
 */
export async function reapOthers(
  of: Others,
  wanted: ReapArguments,
  config: Config,
  terminal: Terminal,
): Promise<number> {
  requireRoot();
  const options = ["--configuration", resolve(terminal.workingDirectory, wanted.configuration)];
  if (wanted.yes) options.push("--yes");
  if (wanted.batchJob !== undefined) options.push("--batch-job", wanted.batchJob);
  let highest = 0;
  for (const name of of === "all" ? await usersOf(config) : [of.user]) {
    highest = Math.max(highest, await reapAs(name, options, wanted, terminal));
  }
  return wanted.batchJob === undefined ? highest : 0;
}

async function reapAs(
  name: string,
  options: readonly string[],
  { batchJob }: ReapArguments,
  terminal: Terminal,
): Promise<number> {
  const [program, ...args] = terminal.program;
  const timeoutSeconds = batchJob === undefined ? userSeconds : batchJobSeconds;
  const { ending, stdout, stderr } = await capture(
    {
      argv: [program, ...args, "reap", "--user", name, ...options],
      environment: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        LC_ALL: "C.UTF-8",
        [reaperVariable]: name,
      },
      workingDirectory: "/",
    },
    { timeoutSeconds, killDescendants: true },
  );
  terminal.stdout.write(printable(stdout));
  terminal.stderr.write(printable(stderr));
  if ("exitCode" in ending) {
    // What the process said need not name the user.
    if (ending.exitCode !== 0)
      terminal.stderr.write(`ERROR: Reaping for ${name} ended with exit code ${ending.exitCode}\n`);
    return ending.exitCode;
  }
  terminal.stderr.write(`ERROR: Reaping for ${name} was ended (${ending.signal}); it has ${timeoutSeconds} s\n`);
  return 1;
}

function requireRoot(): void {
  if (process.geteuid?.() !== 0) throw new JacamarError("usage", "--user and --all-users take root");
}

/**
 * Everybody who can have files of jobs: where `data_dir` has a directory for each user, the names in it; else all users that the name
 * service lists.
 */
async function usersOf(config: Config): Promise<string[]> {
  const { data_dir: dataDir } = config.general;
  // By name alone: what lies there is the users', and may be a file system of theirs that hangs.
  if (!/^(?:\$HOME|~)/.test(dataDir)) return known(readdirSync(dataDir));
  const { ending, stdout } = await capture(
    { argv: ["getent", "passwd"], environment: { PATH: "/usr/bin:/bin", LC_ALL: "C" }, workingDirectory: "/" },
    { timeoutSeconds: 60 },
  );
  if (!("exitCode" in ending) || ending.exitCode !== 0) {
    throw new JacamarError("account_unknown", "The name service lists no users (getent passwd)", {
      hint: "Give --user NAME.",
    });
  }
  return known(stdout.split("\n").map((line) => line.split(":")[0] ?? ""));
}

/** As many names of Linux's length fit one command line by far. */
const namesAtOnce = 500;

/**
 * The people among the names. Somebody who may make directories in `data_dir` can make very many, so the name service is first asked for
 * hundreds at once.
 */
async function known(names: readonly string[]): Promise<string[]> {
  const plausible = [...new Set(names)].filter((name) => /^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/.test(name));
  const there: string[] = [];
  for (let from = 0; from < plausible.length; from += namesAtOnce) {
    const some = plausible.slice(from, from + namesAtOnce);
    const found = await knownNames("passwd", some);
    there.push(...some.filter((name) => found.has(name)));
  }
  const uidMin = readUidMin();
  const users: string[] = [];
  for (const name of there) {
    if ((await findPerson(name, uidMin)) !== undefined) users.push(name);
  }
  return users;
}
