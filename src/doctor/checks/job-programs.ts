import type { Config } from "../../config/schema.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { onPath } from "../../process/program-path.ts";

type Name = "programs-no-git" | "programs-no-runner" | "programs-no-lfs" | "programs-no-tool";

/** What the driver itself calls as the user. */
const tools = ["mkfifo", "find", "env"];

export const jobPrograms = defineCheck<Name>({
  name: "programs",
  looksAt:
    "The programs that the runner's own stages need on the PATH of the user's login, where these stages run on the host.",
  network: false,
  ofMachine: false,
  explains: [],
  entries: {
    "programs-no-git": {
      level: "wrong",
      means: "There is no `git` on the PATH.",
      why: "Jobs cannot fetch their sources.",
      todo: "Install Git, load its module in a start-up file, or set `runner_image`.",
    },
    "programs-no-runner": {
      level: "wrong",
      means: "There is no `gitlab-runner` on the PATH.",
      why: "The runner's scripts call it by that bare name for artifacts and caches. Where it is missing they print one line and succeed: artifacts are lost, and the job is green.",
      todo: "Install the package on the PATH of users (a copy of `gitlab-runner-helper` under that name is enough), or set `runner_image`.",
    },
    "programs-no-lfs": {
      level: "warning",
      means: "There is no `git-lfs` on the PATH.",
      why: "Projects that use Git LFS get small text files in place of their large files.",
      todo: "Install Git LFS.",
    },
    "programs-no-tool": {
      level: "wrong",
      means: "A program that this one calls as the user is not on the PATH.",
      why: "`mkfifo`, `env` and `find` belong to every system; the login of this user hides them.",
      todo: "Correct PATH in the user's start-up files.",
    },
  },
  async look(subject, report) {
    const path = (await subject.login())["PATH"] ?? "";
    const findings: Finding[] = tools
      .filter((tool) => onPath(tool, path) === undefined)
      .map((tool) =>
        report(
          "programs-no-tool",
          `there is no ${tool} on the PATH of ${subject.account.name}`,
          "correct PATH in your start-up files",
        ),
      );
    if (!runsOnHost(subject.config)) {
      return findings.length > 0 ? outcomeOf(findings, "") : skipped("all stages run in containers");
    }
    if (onPath("git", path) === undefined) {
      const text = `there is no git on the PATH of ${subject.account.name}, so jobs cannot fetch their sources`;
      findings.push(
        report(
          "programs-no-git",
          text,
          "ask the administrator to install it",
          asRoot("apt-get install git || dnf install git"),
        ),
      );
    } else if (
      onPath("git-lfs", path) === undefined &&
      onPath("git-lfs", "/usr/lib/git-core:/usr/libexec/git-core") === undefined
    ) {
      const text = "there is no git-lfs, so projects with Git LFS do not get their large files";
      findings.push(
        report(
          "programs-no-lfs",
          text,
          "ask the administrator to install it",
          asRoot("apt-get install git-lfs || dnf install git-lfs"),
        ),
      );
    }
    if (onPath("gitlab-runner", path) === undefined) {
      const text = `there is no gitlab-runner on the PATH of ${subject.account.name}, so artifacts and caches are lost without a word`;
      const advice =
        "ask the administrator for GitLab Runner's package on this machine, or for runner_image in [general.podman]";
      findings.push(report("programs-no-runner", text, advice));
    }
    return outcomeOf(findings, "git, gitlab-runner");
  },
});

/** Whether Git, artifacts or caches of any job run on the host. */
function runsOnHost(config: Config): boolean {
  if (config.general.run_mechanism !== "podman") return true;
  const { force_mechanism: forced, podman } = config.general;
  return !forced || podman.step_script_only || podman.runner_image === undefined;
}
