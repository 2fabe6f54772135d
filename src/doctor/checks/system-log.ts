import { statSync } from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../../error/error.ts";
import { asRoot, defineCheck, outcomeOf, skipped } from "../check.ts";

type Name = "system-log-missing" | "system-log-lost";

/** Where the local daemons listen. */
const sockets = { syslog: "/dev/log", journald: "/run/systemd/journal/stdout" } as const;

export const systemLog = defineCheck<Name>({
  name: "system-log",
  looksAt:
    "Where `[auth.logging]` has decisions written: whether a daemon listens, or the directory of the file is there.",
  network: false,
  ofMachine: true,
  explains: [],
  entries: {
    "system-log-missing": {
      level: "wrong",
      means: "The system log is not there.",
      why: "`jacamar-auth` runs no job whose decision it cannot log. A minimal system or a container often has no syslog daemon.",
      todo: "Install one (`rsyslog`), make the directory, or name another `location` in `[auth.logging]`.",
    },
    "system-log-lost": {
      level: "warning",
      means: "The system log is not there, and `required = false` lets jobs run all the same.",
      why: "Nobody can tell later who was let in, or why not.",
      todo: "The same.",
    },
  },
  look({ config }, report) {
    if (config.auth === undefined) return Promise.resolve(skipped("without [auth] nothing is decided"));
    // What holds without [auth.logging].
    const usual = { enabled: true, required: true, location: "syslog", address: undefined };
    const { enabled, required, location, address } = config.auth.logging ?? usual;
    if (!enabled) return Promise.resolve(skipped("[auth.logging] is turned off"));
    if (address !== undefined) return Promise.resolve(skipped(`the log goes to ${address}`));
    const name: Name = required ? "system-log-missing" : "system-log-lost";
    const then = required ? "so no job runs" : "so no decision is logged";
    if (location === "syslog" || location === "journald") {
      const socket = sockets[location];
      if (isThere(socket, "socket")) return Promise.resolve(outcomeOf([], socket));
      const text = `no daemon listens at ${socket}, ${then}`;
      const install = location === "syslog" ? asRoot("apt-get install rsyslog || dnf install rsyslog") : undefined;
      return Promise.resolve(outcomeOf([report(name, text, "tell the administrator", install)], ""));
    }
    const directory = dirname(location);
    if (isThere(directory, "directory")) return Promise.resolve(outcomeOf([], location));
    const text = `the directory ${directory} of the system log is missing, ${then}`;
    const make = asRoot(`install -d -m 0750 ${directory}`);
    return Promise.resolve(outcomeOf([report(name, text, "tell the administrator", make)], ""));
  },
});

/** What this account may not see is there as far as it knows. */
function isThere(path: string, kind: "socket" | "directory"): boolean {
  try {
    const status = statSync(path);
    return kind === "socket" ? status.isSocket() : status.isDirectory();
  } catch (error) {
    return systemErrorCode(error) === "EACCES";
  }
}
