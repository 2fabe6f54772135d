import { pause } from "../../process/signals.ts";
import { defineCheck, isExpected, outcomeOf, type Finding } from "../check.ts";

type Name = "login-fails" | "login-slow" | "login-no-path";

/** A job logs in for each of its stages, about ten times. */
const slowSeconds = 2;
/** Less than a check may take: one that is cut off could not say what it waits for. */
const patienceSeconds = 8;

export const login = defineCheck<Name>({
  name: "login",
  looksAt:
    "A login of the user with Bash, as each stage of a job makes one: whether it comes to its end, and how long it takes.",
  network: false,
  ofMachine: false,
  explains: ["shell_failed", "script_lost", "podman_missing"],
  entries: {
    "login-fails": {
      level: "wrong",
      means: "The login ends before a script can run, or does not end, or Bash cannot be started.",
      why: "A start-up file (`/etc/profile`, `~/.bash_profile`, `~/.profile`) calls `exit` or `exec`, as some do to start another shell, or waits for a terminal.",
      todo: 'Let it do so only where a terminal is: `[ -t 0 ] && exec zsh -l`. Or let the job set `JACAMAR_NO_BASH_PROFILE: "true"`.',
    },
    "login-slow": {
      level: "warning",
      means: "The login takes longer than two seconds.",
      why: "Each stage of a job makes one. Start-up files that load modules, activate Conda or ask a network are the usual reason.",
      todo: "Find the line with `bash -lxc true`, and do it only where a terminal is.",
    },
    "login-no-path": {
      level: "wrong",
      means: "After the login the PATH lacks the system's own directories.",
      why: "A start-up file sets PATH in place of adding to it. Then neither Git nor Podman is found.",
      todo: "Write `export PATH=…:$PATH` in the user's start-up files.",
    },
  },
  async look(subject, report) {
    const tooLong = () => pause(patienceSeconds * 1000, subject.stop).then((): undefined => undefined);
    const started = performance.now();
    let environment: Awaited<ReturnType<typeof subject.login>> | undefined;
    try {
      environment = await Promise.race([subject.login(), tooLong()]);
    } catch (error) {
      if (!isExpected(error)) throw error;
      return outcomeOf([report("login-fails", error.message, error.hint ?? "look at your start-up files")], "");
    }
    const seconds = (performance.now() - started) / 1000;
    if (environment === undefined) {
      const text = `a login of ${subject.account.name} has not ended after ${Math.round(seconds)} s`;
      return outcomeOf([report("login-fails", text, "find what your start-up files wait for: bash -lxc true")], "");
    }
    const findings: Finding[] = [];
    if (seconds > slowSeconds) {
      const text = `a login of ${subject.account.name} takes ${seconds.toFixed(1)} s, and each stage of a job makes one`;
      findings.push(report("login-slow", text, "look with: bash -lxc true"));
    }
    const path = (environment["PATH"] ?? "").split(":");
    if (!path.includes("/usr/bin") && !path.includes("/bin")) {
      const text = `a start-up file of ${subject.account.name} takes /usr/bin from the PATH`;
      findings.push(report("login-no-path", text, "add to PATH in your start-up files, and do not replace it"));
    }
    return outcomeOf(findings, `${seconds.toFixed(1)} s`);
  },
});
