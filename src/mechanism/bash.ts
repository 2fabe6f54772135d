import type { Account } from "../account/account.ts";
import type { Environment } from "../process/command.ts";

/** Which of Bash's start-up files a user wants (facts/jacamar.md, Executors). */
export type Profile = "login" | "etc-profile-only" | "none";

/** The path that login(1) gives (`ENV_PATH` of login.defs(5) without the games); profiles change it as they like. */
const loginPath = "/usr/local/bin:/usr/bin:/bin";

/**
 * The environment with which a login begins, built from nothing.
 *
 * @param runtimeDirectory the user's directory below /run/user, where the system has made one.
 */
export function loginBeginning(account: Account, shellPath: string, runtimeDirectory: string | undefined): Environment {
  return {
    HOME: account.home,
    USER: account.name,
    LOGNAME: account.name,
    SHELL: account.shell,
    PATH: loginPath,
    JACAMAR_CI: "true",
    JACAMAR_CI_SHELL: shellPath,
    ...(runtimeDirectory === undefined ? {} : { XDG_RUNTIME_DIR: runtimeDirectory }),
  };
}

/**
 * The command that runs a generated script in a clean Bash and leaves its exit status beside it, in `SCRIPT.status`.
 *
 * The script is read by the login shell itself, not by a new program, so that functions of the profile (`module`) are
 * there. It is read in a subshell, since its last line is `exit`, on which a login shell would run ~/.bash_logout with
 * the script's `errexit` (facts/gitlab-runner.md, trap 37). A profile that ends the shell leaves no status file: the
 * stage then fails, where it would else have passed without having run.
 *
 * SIGTERM reaches all processes of a job at once. The login shell must outlive it until the script's own trap has had its
 * time and its say; then the status is 143, whatever the trap made of it. A script that has not begun by then does not begin: it was
 * not there to be told.
 *
 * `SCRIPT.began` is made when the start-up files are done: its time tells how long they took.
 */
export function bashScript(shellPath: string, profile: Profile, script: string): [string, ...string[]] {
  const begin = '{ : > "$0.began"; } 2>/dev/null; ';
  const line = `set +e; set --; trap "set -- 143" TERM; ${begin}if [[ $# = 0 ]]; then (. "$0"); fi; set -- "$?" "$@"; `;
  const leave = '{ echo "${2:-$1}" > "$0.status"; } 2>/dev/null; (exit "${2:-$1}")';
  return [shellPath, ...profileArguments(profile), profileLine(profile) + line + leave, script];
}

/**
 * The command that writes the environment of a clean Bash to descriptor 3, each `NAME=value` ended by NUL.
 *
 * The program is looked for in the system's own directories: start-up files may have lost them from the PATH.
 *
 * @param name what the shell takes for its own name: a path in the job's directories, so that cleanup can find it.
 */
export function bashEnvironment(shellPath: string, profile: Profile, name: string): [string, ...string[]] {
  return [shellPath, ...profileArguments(profile), `${profileLine(profile)}command -p env -0 >&3`, name];
}

/**
 * The command that runs the administrator's program in a clean Bash. The program is not an argument of the shell, since
 * start-up files would take it for one of theirs.
 *
 * @param name as for {@link bashEnvironment}.
 */
export function bashProgram(shellPath: string, profile: Profile, program: string, name: string): [string, ...string[]] {
  const quoted = `'${program.replaceAll("'", "'\\''")}'`;
  // With a command after it Bash does not become the program itself, and keeps its name.
  return [shellPath, ...profileArguments(profile), `${profileLine(profile)}${quoted}; (exit "$?")`, name];
}

function profileArguments(profile: Profile): string[] {
  return profile === "login" ? ["-l", "-c"] : ["--noprofile", "--norc", "-c"];
}

function profileLine(profile: Profile): string {
  return profile === "etc-profile-only" ? "if [ -r /etc/profile ]; then . /etc/profile; fi; " : "";
}
