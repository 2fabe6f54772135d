import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { JacamarError, systemErrorCode } from "../../error/error.ts";
import { isThere } from "../../workspace/directories.ts";
import { asRoot, defineCheck, type Finding, outcomeOf } from "../check.ts";
import { mountOf, networkName } from "../mounts.ts";

type Name =
  | "data-directory-unsafe"
  | "data-directory-closed"
  | "data-directory-read-only"
  | "data-directory-noexec"
  | "data-directory-home-missing";

export const dataDirectory = defineCheck<Name>({
  name: "data-directory",
  looksAt:
    "The directory of the account's jobs below `data_dir`: whether it can be made, whose it is, and how its file system is mounted.",
  network: false,
  ofMachine: false,
  explains: ["directory_failed", "disk_full", "podman_failed"],
  entries: {
    "data-directory-unsafe": {
      level: "wrong",
      means: "The directory, or one on the way to it, is not the user's, or others can write to it.",
      why: "Whoever can exchange a directory of a job can read its secrets and change its results, so no job runs there.",
      todo: "Correct owner and mode as the message says.",
    },
    "data-directory-closed": {
      level: "wrong",
      means: "The directory is not there, and the user may not make it.",
      why: "`data_dir` is root's and closed to users.",
      todo: "Make it for the user, or let root make it for everybody: `root_dir_creation = true` in `[auth]`.",
    },
    "data-directory-home-missing": {
      level: "wrong",
      means: "The account's home directory is not there.",
      why: "Some sites make homes at the first login, and a job is none.",
      todo: "Make it: `mkhomedir_helper NAME`, or let the user log in once.",
    },
    "data-directory-read-only": {
      level: "wrong",
      means: "Its file system is mounted read-only.",
      why: "Nothing of a job can be written. A disk with errors is often mounted so.",
      todo: "Look into the kernel's log (`dmesg`), and mount it for writing.",
    },
    "data-directory-noexec": {
      level: "wrong",
      means: "Its file system is mounted `noexec`.",
      why: "Containers start the job's script from there, and programs that a job builds do not start.",
      todo: "Mount it without `noexec`, or choose another `data_dir`.",
    },
  },
  look({ account, base, config }, report) {
    const findings: Finding[] = [];
    const mount = mountOf(base);
    if (!existsSync(account.home) && base.startsWith(`${account.home}/`)) {
      const text = `the home directory ${account.home} of ${account.name} does not exist`;
      const make = asRoot(`mkhomedir_helper ${account.name}`);
      return Promise.resolve(
        outcomeOf(
          [report("data-directory-home-missing", text, "log in once, or ask the administrator to make it", make)],
          "",
        ),
      );
    }
    const mode = config.general.group_permissions ? 0o750 : 0o700;
    const state = lookAt(base, { uid: account.uid, mode, home: account.home });
    if (state instanceof JacamarError) {
      findings.push(report("data-directory-unsafe", state.message, state.hint ?? "correct its owner and mode"));
    }
    if (mount?.options.has("ro") === true) {
      findings.push(
        report(
          "data-directory-read-only",
          `${base} lies on a file system that is mounted read-only`,
          "ask the administrator why",
        ),
      );
    } else if (state === "missing") {
      const above = existingAbove(base);
      if (!mayWrite(above)) {
        const text = `${base} is not there, and ${account.name} may not make it in ${above}`;
        const make = asRoot(`install -d -m 0700 -o ${account.name} -g ${account.gid} ${base}`);
        findings.push(report("data-directory-closed", text, "ask the administrator to make it for you", make));
      }
    }
    if (mount?.options.has("noexec") === true) {
      findings.push(
        report(
          "data-directory-noexec",
          `${base} lies on a file system that is mounted noexec: scripts of jobs cannot start there`,
          "ask the administrator for another data_dir",
        ),
      );
    }
    const type = mount === undefined ? "" : ` on ${networkName(mount) ?? mount.type}`;
    return Promise.resolve(outcomeOf(findings, `${base}${type}${state === "missing" ? ", still to be made" : ""}`));
  },
});

function lookAt(base: string, rules: Parameters<typeof isThere>[2]): "there" | "missing" | JacamarError {
  try {
    // Its mode is made right by prepare.
    return isThere(base, base, rules) ? "there" : "missing";
  } catch (error) {
    if (error instanceof JacamarError) return error;
    return new JacamarError(
      "directory_failed",
      `"${base}" cannot be looked at: ${systemErrorCode(error) ?? "unknown error"}`,
    );
  }
}

function existingAbove(path: string): string {
  let place = dirname(path);
  while (place !== "/" && !existsSync(place)) place = dirname(place);
  return place;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
