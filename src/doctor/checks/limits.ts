import { readdirSync, readFileSync } from "node:fs";
import { asRoot, defineCheck, type Finding, outcomeOf } from "../check.ts";

type Name = "limits-files" | "limits-processes" | "limits-processes-used";

/** What Podman alone opens for a container with many layers. */
const fewFiles = 1024;
/** A build with `make -j` on a node of 128 cores has more. */
const fewProcesses = 512;

export const limits = defineCheck<Name>({
  name: "limits",
  looksAt: "How many files and processes a job may have open (`ulimit -n`, `ulimit -u`), as GitLab Runner hands it on.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "shell_failed", "script_lost", "podman_missing"],
  entries: {
    "limits-files": {
      level: "warning",
      means: "A process may open fewer than 1024 files.",
      why: "Podman, linkers and language servers open more: `too many open files`.",
      todo: "Raise it in the unit of GitLab Runner: `LimitNOFILE=65536`.",
    },
    "limits-processes": {
      level: "warning",
      means: "The user may have fewer than 512 processes.",
      why: "All jobs of the user count together, with all threads: `fork: retry: Resource temporarily unavailable`.",
      todo: "Raise it in the unit of GitLab Runner: `LimitNPROC=65536`, and in `/etc/security/limits.d`.",
    },
    "limits-processes-used": {
      level: "wrong",
      means: "The user has nearly as many processes as are allowed.",
      why: "No more can be started: `Resource temporarily unavailable`. Often processes of old jobs or sessions are left.",
      todo: "Look with `ps -u NAME -L`, and end what is left over.",
    },
  },
  look({ account, limits: handed }, report) {
    const text = handed ?? readFileSync("/proc/self/limits", "utf8");
    const files = softLimit(text, "Max open files");
    const processes = softLimit(text, "Max processes");
    const findings: Finding[] = [];
    const edit = asRoot("systemctl edit gitlab-runner");
    if (files < fewFiles) {
      findings.push(
        report(
          "limits-files",
          `a process may open only ${files} files`,
          "ask the administrator for more (LimitNOFILE)",
          edit,
        ),
      );
    }
    // It counts for users alone (setrlimit(2)).
    if (account.uid !== 0) {
      const used = countThreads(account.uid);
      if (used > processes * 0.9) {
        const used90 = `${account.name} has ${used} of ${processes} processes that are allowed`;
        findings.push(
          report("limits-processes-used", used90, "end what is left of old jobs and sessions", {
            by: "user",
            command: "ps -u $USER -L",
          }),
        );
      } else if (processes < fewProcesses) {
        const few = `${account.name} may have only ${processes} processes`;
        findings.push(report("limits-processes", few, "ask the administrator for more (LimitNPROC)", edit));
      }
    }
    return Promise.resolve(outcomeOf(findings, `${shown(files)} files, ${shown(processes)} processes`));
  },
});

/** A line of /proc/PID/limits: name, soft and hard limit, unit (proc(5)). */
export function softLimit(text: string, name: string): number {
  const value = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(text)?.[1];
  return value === undefined || value === "unlimited" ? Infinity : Number(value);
}

function shown(limit: number): string {
  return limit === Infinity ? "unlimited" : String(limit);
}

/** RLIMIT_NPROC counts threads. */
function countThreads(uid: number): number {
  let threads = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      if (!status.includes(`\nUid:\t${uid}\t`)) continue;
      threads += Number(/^Threads:\s*(\d+)/m.exec(status)?.[1] ?? "1");
    } catch {
      // It has ended meanwhile.
    }
  }
  return threads;
}
