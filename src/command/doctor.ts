import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { type Account, currentAccount } from "../account/account.ts";
import { readUidMin } from "../account/login-definitions.ts";
import { lookUpAccount } from "../account/lookup.ts";
import { certificates } from "../auth/line.ts";
import { requireFilter } from "../auth/requirements.ts";
import { loadConfiguration } from "../config/load.ts";
import { type Config, configSchema } from "../config/schema.ts";
import { type DoctorArguments, parseDoctorArguments } from "../doctor/arguments.ts";
import { checks } from "../doctor/checks.ts";
import { lookAll } from "../doctor/look.ts";
import { asJson, asText, findingsOf } from "../doctor/present.ts";
import { Subject } from "../doctor/subject.ts";
import { becomeUser } from "../downscope/setuid.ts";
import { usualConfiguration } from "../config/usual-place.ts";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { bashEnvironment } from "../mechanism/bash.ts";
import type { Environment } from "../process/command.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { listenForStop } from "../process/signals.ts";
import { doctorCommand } from "../terminal/commands/doctor.ts";
import { helpText } from "../terminal/help.ts";
import type { ReadyFilter } from "../seccomp/prepare.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { baseDirectory } from "../workspace/layout.ts";
import { readyFilter } from "./ready-filter.ts";
import { cleanBash } from "./clean-bash.ts";

/** The longest that one check may take. */
const limitSeconds = 10;

/**
 * `jacamar doctor`: looks at the machine as a job would meet it. Returns 0 when nothing is wrong, else 1. As root with
 * `--user` this process becomes that user for good before it looks at anything of the user's.
 * Throws `usage`, `account_unknown`, `config_invalid`, `config_unreadable` and `downscope_failed`.
 */
export async function doctorHere(argv: readonly string[], terminal: Terminal): Promise<number> {
  const wanted = parseDoctorArguments(argv);
  if (wanted.help) {
    terminal.stdout.write(helpText(doctorCommand));
    return 0;
  }
  const stop = listenForStop();
  const { config, file, closed } = await configurationFor(wanted);
  const limits = limitsOfRunner();
  // Reading the system's own takes a while, which only a check of the network is worth.
  const trusted = wanted.network ? readCertificates(config) : undefined;
  const account = await becomeWanted(wanted.user, config);
  const subject = new Subject({
    account,
    config,
    base: baseDirectory(config.general.data_dir, account),
    login: () => loginOf(config, account, stop),
    limits,
    ...(trusted === undefined ? {} : { certificates: trusted }),
    stop,
  });
  try {
    const chosen = checks.filter(
      ({ name, network, ofMachine }) =>
        (wanted.only.length === 0 || wanted.only.includes(name)) &&
        (wanted.network || !network) &&
        (ofMachine || !subject.isRoot),
    );
    const looked = await lookAll(chosen, subject, limitSeconds);
    const heading = { account: account.name, configuration: file, machineOnly: subject.isRoot };
    terminal.stdout.write(wanted.json ? asJson(heading, looked) : asText(heading, looked, closed));
    return findingsOf(looked).some(({ level }) => level === "wrong") ? 1 : 0;
  } finally {
    await subject.close();
  }
}

/** The configuration of the jobs, or what a first one would have. */
async function configurationFor({
  configuration,
}: DoctorArguments): Promise<{ config: Config; file: string | undefined; closed: string | undefined }> {
  const usual = readable(usualConfiguration);
  const file = configuration ?? (usual === "yes" ? usualConfiguration : undefined);
  if (file !== undefined) return { config: await loadConfiguration(file), file, closed: undefined };
  const general = { executor: "shell", data_dir: "$HOME/.jacamar-ci", run_mechanism: "podman" };
  const config = v.parse(configSchema, { general });
  return { config, file: undefined, closed: usual === "closed" ? usualConfiguration : undefined };
}

/** Users often may not read the file; the administrator who names one wants to know why. */
function readable(path: string): "yes" | "closed" | "missing" {
  try {
    accessSync(path, constants.R_OK);
    return "yes";
  } catch (error) {
    return systemErrorCode(error) === "EACCES" ? "closed" : "missing";
  }
}

/**
 * The certificates that the config stage trusts, read with the rights of who calls: as it does, before the door. What is
 * wrong with them is told when they are asked for.
 */
function readCertificates(config: Config): () => readonly string[] {
  const path = config.general["tls-ca-file"];
  try {
    const read = certificates(path);
    return () => read;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** Goes through the door to the user who is wanted. Returns the account that this process has from then on. */
async function becomeWanted(name: string | undefined, config: Config): Promise<Account> {
  const own = currentAccount();
  if (name === undefined || name === own.name) return own;
  if (own.uid !== 0) {
    throw new JacamarError("usage", `Only root can look as another user, and you are ${own.name}`, {
      hint: `As root: jacamar doctor --user ${name}`,
    });
  }
  const answer = await lookUpAccount(name);
  if (!answer.found) throw new JacamarError("account_unknown", `There is no account "${name}": ${answer.detail}`);
  const { account } = answer;
  if (account.uid < readUidMin()) {
    throw new JacamarError("account_unknown", `The account "${name}" is one of the system's, and runs no jobs`, {
      hint: "Accounts below UID_MIN of /etc/login.defs are no people's.",
    });
  }
  becomeUser(account, await filterFor(config, account));
  return currentAccount();
}

/** The filter under which the user's jobs run; undefined where there is none to be had, which the check `seccomp` tells. */
async function filterFor(config: Config, account: Account): Promise<ReadyFilter | undefined> {
  try {
    const callFilter = requireFilter(config, process.geteuid?.());
    return await readyFilter({ ...account, noNewPrivs: config.auth?.no_new_privs === true, callFilter });
  } catch (error) {
    if (error instanceof JacamarError) return undefined;
    throw error;
  }
}

function loginOf(config: Config, account: Account, stop: AbortSignal): Promise<Environment> {
  const { shellPath, beginning } = cleanBash({ config }, account);
  const argv = bashEnvironment(shellPath, "login", "jacamar-doctor");
  return readLoginEnvironment({ argv, environment: beginning, workingDirectory: "/" }, stop);
}

/** The limits that jobs inherit: those of GitLab Runner, where it runs and may be looked at. */
function limitsOfRunner(): string | undefined {
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      // Its name is cut after 15 characters, and has 13.
      if (readFileSync(`/proc/${pid}/comm`, "utf8") === "gitlab-runner\n")
        return readFileSync(`/proc/${pid}/limits`, "utf8");
    } catch {
      // It has ended, or is not ours to look at.
    }
  }
  return undefined;
}
