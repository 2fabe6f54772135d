import { readPodmanOptions } from "../../check/podman-options.ts";
import type { Config } from "../../config/schema.ts";
import { asRoot, asUser, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { chooseRuntime } from "../choose-runtime.ts";
import { failureOf } from "../podman-answer.ts";

type Name = "podman-missing" | "podman-failing" | "podman-old" | "podman-unknown-option";

/** The oldest that is known to work (facts/podman.md). */
const oldest = { major: 4, minor: 3 };

export const podman = defineCheck<Name>({
  name: "podman",
  looksAt:
    "Whether the user's Podman is there and answers (`podman info`), its version, and whether it knows the options of the configuration.",
  network: false,
  ofMachine: false,
  explains: ["podman_missing", "podman_failed"],
  entries: {
    "podman-missing": {
      level: "wrong",
      means: "Podman is not on the PATH of the user's login, or `application_path` cannot be started.",
      why: "Jobs that name an image need it. Where it comes from a module, the user's profile must load that module without a terminal, too.",
      todo: "Install Podman, or set `application_path` in `[general.podman]`.",
    },
    "podman-failing": {
      level: "wrong",
      means: "`podman info` fails, or does not answer.",
      why: "So does everything else that Podman is asked. The message is Podman's own.",
      todo: "Run `podman info` as the user. The other lines of the doctor often say why.",
    },
    "podman-old": {
      level: "wrong",
      means: "Podman is older than 4.3.",
      why: "Options that this program uses are not there, or behave otherwise.",
      todo: "Install a newer one.",
    },
    "podman-unknown-option": {
      level: "wrong",
      means: "`custom_options` or `runner_options` has an option that this Podman does not know.",
      why: "It is mistyped, or of a newer version. Every container of a job fails with it.",
      todo: "Compare with `podman run --help`.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const answer = await subject.podman();
    if (answer.kind === "missing") {
      const advice = "the administrator sets its place with application_path in [general.podman]";
      const text = answer.error.message;
      return outcomeOf(
        [report("podman-missing", text, advice, asRoot("apt-get install podman || dnf install podman"))],
        "",
      );
    }
    if (answer.info === undefined) {
      const text = `Podman fails: ${failureOf(answer.said)}`;
      const runtime = /OCI runtime "([^"]+)" not found/.exec(answer.said)?.[1];
      const remedy = runtime === undefined ? asUser("podman info") : chooseRuntime(runtime);
      return outcomeOf([report("podman-failing", text, "try as the same user: podman info", remedy)], "");
    }
    const { Version: version } = answer.info.version;
    const findings: Finding[] = [];
    if (isOlder(version)) {
      const text = `Podman ${version} is older than ${oldest.major}.${oldest.minor}`;
      findings.push(report("podman-old", text, "ask the administrator for a newer one"));
    }
    const wanted = optionsOf(subject.config);
    if (wanted.length > 0) {
      const help = await answer.client.ask(["run", "--help"], { timeoutSeconds: 5, stop: subject.stop });
      const known = new Set([...help.stdout.matchAll(/^\s+(?:-\w, )?--([a-z][\w-]*)/gm)].map(([, name]) => name));
      for (const name of new Set(wanted.filter((option) => known.size > 0 && !known.has(option)))) {
        const text = `Podman ${version} does not know the option --${name} of the configuration`;
        findings.push(
          report("podman-unknown-option", text, "ask the administrator to correct custom_options and runner_options"),
        );
      }
    }
    return outcomeOf(findings, version);
  },
});

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < oldest.major || (major === oldest.major && minor < oldest.minor);
}

/** Podman does not list these in its help, and takes them. */
const hidden = new Set([
  "net",
  "network",
  "storage-opt",
  "memory-swappiness",
  "kernel-memory",
  "pulltimeout",
  "rmi",
  "dns-option",
  "dns-opt",
]);

function optionsOf(config: Config): string[] {
  const { custom_options: custom, runner_options: runner } = config.general.podman ?? {};
  return [...readPodmanOptions(custom).options, ...readPodmanOptions(runner).options]
    .map(({ name }) => name)
    .filter((name) => name.length > 1 && !hidden.has(name));
}
