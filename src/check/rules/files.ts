import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { readScript } from "../../auth/runas-script.ts";
import { show } from "../../config/problem.ts";
import { systemErrorCode } from "../../error/error.ts";
import { isExecutable } from "../../process/program-path.ts";
import { lookAtFile } from "../exchangeable.ts";
import { type NamedFile, namedFiles } from "../named-files.ts";
import type { CheckSubject, Finding, Rule } from "../rule.ts";

export const missingFiles: Rule = {
  name: "file-missing",
  severity: "problem",
  means: "A program, script or file that the configuration names is not there or cannot be used.",
  why: "Jobs need it and fail. The check looks at this machine: for the file of another one use `--elsewhere`.",
  remedy: "Correct the path, install the program, or give it the right mode (0755 for a program, 0644 for a file).",
  find: (subject) =>
    subject.elsewhere
      ? []
      : [
          ...namedFiles(subject).flatMap((file): Finding[] => {
            const why = whyUnusable(file);
            return why === undefined ? [] : [{ path: file.key, at: "value", message: `${show(file.path)} ${why}` }];
          }),
          ...unnamedPrograms(subject),
        ],
};

/** Why a program cannot be started by GitLab Runner, as the end of a sentence; undefined when it can. */
export function whyNoProgram(path: string): string | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) return "is not a regular file";
    // By its mode: with capabilities it is for the runner's account alone, which may not be the one that checks.
    return (status.mode & 0o111) === 0 ? "is not executable" : undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "does not exist";
    return `cannot be looked at (${code ?? "unknown error"})`;
  }
}

function whyUnusable({ path, kind }: NamedFile): string | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) return "is not a regular file";
    accessSync(path, kind === "certificates" ? constants.R_OK : constants.R_OK | constants.X_OK);
    // A program that root may run need not be one that users may run.
    if (kind !== "certificates" && (status.mode & 0o111) !== 0o111) return "is not executable for everybody";
    if (kind === "certificates" && !readFileSync(path, "latin1").includes("-----BEGIN CERTIFICATE-----"))
      return "holds no certificate";
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "does not exist";
    if (code === "EACCES")
      return kind === "certificates" ? "cannot be read" : "is not executable, or cannot be reached";
    return `cannot be looked at (${code ?? "unknown error"})`;
  }
}

/** Programs at places that no key names. */
function unnamedPrograms({ config }: CheckSubject): Finding[] {
  const { general, auth } = config;
  const needed: readonly (readonly [boolean, readonly string[], Finding["path"], string])[] = [
    [
      general.shell_path === undefined,
      ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"],
      ["general"],
      "set general.shell_path",
    ],
    [
      auth?.downscope === "sudo",
      ["/usr/bin/sudo", "/usr/local/bin/sudo", "/opt/sudo/bin/sudo"],
      ["auth", "downscope"],
      "install sudo",
    ],
    [auth?.no_new_privs === true, ["/usr/bin/setpriv", "/bin/setpriv"], ["auth", "no_new_privs"], "install util-linux"],
  ];
  return needed
    .filter(([isNeeded, places]) => isNeeded && !places.some(isExecutable))
    .map(
      ([, places, path, remedy]): Finding => ({
        path,
        at: "key",
        message: `there is no ${places.join(", ")}`,
        expected: `one of them: ${remedy}`,
      }),
    );
}

export const exchangeableFiles: Rule = {
  name: "file-exchangeable",
  severity: "problem",
  means:
    "Somebody else than root and the owner of the configuration can put another file in the place of the configuration, or of one that it names.",
  why: "Whoever can exchange a program or script that runs for every job acts as every user; whoever can exchange the certificates can pass for GitLab.",
  remedy:
    "Give the file, and every directory above it, to root, and close them to others' writing: `chown root: PATH; chmod go-w PATH`.",
  find: (subject) => {
    if (subject.elsewhere) return [];
    const whyUnsafe = (path: string): string | undefined => {
      const state = lookAtFile(path, trustedAccounts(subject));
      return state.kind === "exchangeable" ? state.why : undefined;
    };
    const own = subject.file === undefined ? undefined : whyUnsafe(dirname(subject.file.path));
    return [
      ...(own === undefined ? [] : [ownPlace(own)]),
      ...namedFiles(subject).flatMap(({ path, key, risk }): Finding[] => {
        const why = whyUnsafe(path);
        return why === undefined ? [] : [{ path: key, at: "value", message: `${why}; who does so ${risk}` }];
      }),
    ];
  },
};

/** The file itself has been looked at when it was read. */
function ownPlace(why: string): Finding {
  const message = `${why}, so this file could be exchanged; who does so decides as whom jobs run`;
  return { path: [], at: { line: 1, column: 1 }, message };
}

/** Who can write the configuration decides what runs anyway. */
function trustedAccounts({ file }: CheckSubject): number[] {
  return [process.geteuid?.() ?? 0, ...(file === undefined ? [] : [file.uid])];
}

export const runAsScript: Rule = {
  name: "runas-unsafe",
  severity: "problem",
  means: "The RunAs script is not one that `jacamar-auth` will run.",
  why: "It decides as whom jobs run. So it runs only when nobody but root and the account of the runner can have written it, and when it has the `sha256` of the configuration. Until then every job is refused.",
  remedy:
    "`chown root: SCRIPT; chmod 0755 SCRIPT`, the same for the directories above it, and `sha256sum SCRIPT` for the key `sha256`. Run the check as the account of the runner, which reads the script.",
  find: ({ config, elsewhere }) => {
    const runas = config.auth?.runas;
    if (elsewhere || runas?.validation_script === undefined) return [];
    const script = readScript(runas.validation_script, process.geteuid?.() ?? 0, runas.sha256);
    const path = ["auth", "runas", "validation_script"];
    return script.safe ? [] : [{ path, at: "value", message: `the script is not run: ${script.why}` }];
  },
};
