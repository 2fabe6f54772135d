import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { asUser, checkout, type User } from "./machine.ts";

/** Trouble is made for real, in mount namespaces and accounts of a test's own: what `describe` gets as `skip`. */
export const needsRoot = process.getuid?.() === 0 ? false : "making real trouble takes root";

/**
 * Lines of a setup that give the doctor an `/etc` of its own. A file alone could not be replaced: useradd(8) of another
 * test renames a new one over it, which ends a mount on the old one in every namespace. Its temporary files may be gone before
 * they are copied.
 */
export const ownEtc = "{ cp -a /etc $work/etc 2>/dev/null || true; }; mount --bind $work/etc /etc";

/** An account of a test's own, with subordinate ids, and a `jacamar doctor` that looks at it in a world of its own. */
export class DoctorBench {
  readonly user: User;
  readonly #directory: string;

  /** @param name tells the accounts of test files apart: at most 12 small letters. */
  constructor(name: string) {
    this.user = makeAccount(`jacamar-doc-${name}`);
    this.#directory = mkdtempSync("/var/tmp/jacamar-doctor-");
    chmodSync(this.#directory, 0o755);
  }

  /**
   * Runs one check as the account.
   *
   * @param setup lines of Bash that root runs before, in a mount namespace that ends with the doctor. `$user`, `$uid` and
   *   `$home` are the account's, `$work` is an empty directory, and `"${as_user[@]}"` begins a command of the account's. Jobs
   *   that it starts in the background are ended.
   * @param configuration lines of TOML after `[general]`, `executor` and `data_dir`.
   */
  async look(check: string, setup = "", options: LookOptions = {}): Promise<Looked> {
    const work = mkdtempSync(join(this.#directory, "work-"));
    chmodSync(work, 0o755);
    const {
      executor = "shell",
      dataDir = "$HOME/.jacamar-doctor-test",
      configuration = "run_mechanism = 'podman'",
    } = options;
    const file = join(work, "jacamar.toml");
    writeFileSync(
      file,
      `[general]\nexecutor = "${executor}"\ndata_dir = '${dataDir.replace("WORK", work)}'\n${configuration.replaceAll("WORK", work)}\n`,
      { mode: 0o644 },
    );
    const { name, uid, home } = this.user;
    const frame = `
export user=$1 uid=$2 home=$3 work=$4
shift 4
as_user=(setpriv --reuid="$uid" --regid="$uid" --init-groups env -i HOME="$home" USER="$user" PATH=/usr/local/bin:/usr/bin:/bin)
set -euo pipefail
${setup}
set +e
"$@"
code=$?
[ -z "$(jobs -p)" ] || kill $(jobs -p) 2>/dev/null
exit $code
`;
    // As the launcher starts it: the door wants the debugger closed.
    const node = [process.execPath, "--disable-sigusr1", "--disable-warning=ExperimentalWarning"];
    const doctor = [...node, checkout("src/main.ts"), "doctor"];
    const who = options.asRoot === true ? [] : ["--user", name];
    const world = ["unshare", "--mount", "--propagation", "private", "bash", "-c", frame, "-"];
    const argv = [...world, name, String(uid), home, work, ...doctor, ...who, "--configuration", file];
    const root = { name: "root", uid: 0, gid: 0, home: "/root" };
    const ended = await asUser(root, [...argv, "--check", check, "--json"], { cwd: "/" });
    const looked = parse(ended.stdout, ended.stderr, check);
    return { ...looked, exitCode: ended.exitCode };
  }

  /** Runs a command as the account, and fails loudly when it does. */
  async run(...argv: readonly string[]): Promise<string> {
    const ended = await asUser(this.user, argv);
    if (ended.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${ended.stderr}`);
    return ended.stdout;
  }

  close(): void {
    // A pause process of Podman's, and what its containers were.
    try {
      execFileSync("pkill", ["-KILL", "-U", String(this.user.uid)], { stdio: "ignore" });
    } catch {
      // The usual case: nothing runs.
    }
    rmSync(this.#directory, { recursive: true, force: true });
    rmSync(`/tmp/jacamar-ci-${this.user.uid}`, { recursive: true, force: true });
    removeAccount(this.user.name);
  }
}

export interface LookOptions {
  readonly executor?: string;
  /** `WORK` is the directory of the setup. */
  readonly dataDir?: string;
  readonly configuration?: string;
  /** Look at the machine alone. */
  readonly asRoot?: boolean;
}

/** What a check said. */
export interface Looked {
  readonly exitCode: number | undefined;
  /** `ok`, `skipped`, `unknown` or `found`. */
  readonly kind: string;
  /** What it said of a system that is well, or why it did not look. */
  readonly text: string;
  readonly findings: readonly {
    readonly name: string;
    readonly level: string;
    readonly text: string;
    readonly command: string;
  }[];
}

const answerSchema = v.object({
  checks: v.array(
    v.object({
      check: v.string(),
      kind: v.string(),
      text: v.optional(v.string(), ""),
      why: v.optional(v.string(), ""),
      findings: v.optional(
        v.array(
          v.object({
            name: v.string(),
            level: v.string(),
            text: v.string(),
            remedy: v.optional(v.object({ by: v.string(), command: v.string() })),
          }),
        ),
        [],
      ),
    }),
  ),
});

/** Reads what `jacamar doctor --json` says of one check. Throws with all that it said when it is anything else. */
function parse(stdout: string, stderr: string, check: string): Omit<Looked, "exitCode"> {
  let data: unknown;
  try {
    data = JSON.parse(stdout);
  } catch {
    throw new Error(`The doctor said: ${stdout}${stderr}`);
  }
  const one = v.parse(answerSchema, data).checks.find((each) => each.check === check);
  if (one === undefined) throw new Error(`The doctor did not look: ${stdout}`);
  return {
    kind: one.kind,
    text: one.text || one.why,
    findings: one.findings.map(({ name, level, text, remedy }) => ({
      name,
      level,
      text,
      command: remedy?.command ?? "",
    })),
  };
}

function makeAccount(name: string): User {
  removeAccount(name);
  execFileSync("useradd", ["--create-home", "--shell", "/bin/bash", "--key", "HOME_MODE=0700", name]);
  const [, , uid, gid, , home = ""] = execFileSync("getent", ["passwd", name], { encoding: "utf8" }).trim().split(":");
  return { name, uid: Number(uid), gid: Number(gid), home };
}

function removeAccount(name: string): void {
  try {
    execFileSync("userdel", ["--force", "--remove", name], { stdio: "ignore" });
  } catch {
    // There is none.
  }
}
