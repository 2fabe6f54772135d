import { systemErrorCode } from "../error/error.ts";
import { capture } from "../process/capture.ts";
import { longestLine, type Level } from "./entry.ts";
import { LogFailure } from "./log-failure.ts";
import { tag } from "./syslog.ts";

/** The entry comes in the environment, which only this account can read; a command line is for everybody to see. */
const script = `printf '%s\\n' "$JACAMAR_ENTRY" | exec logger "$@"`;

/**
 * Hands a line to the local syslog daemon through `logger` of util-linux, since Node.js has no datagram sockets in the file
 * system. Without `--socket-errors=on` it would pass in silence when nobody listens. When it has connected and cannot send, it
 * says so on standard error and still ends with 0 (seen with 2.38), so any word there is a failure.
 *
 * Throws {@link LogFailure}, also when the daemon does not take the line within `timeoutSeconds`.
 */
export async function writeToLocalSyslog(
  line: string,
  level: Level,
  { socket = "/dev/log", timeoutSeconds = 5 }: { readonly socket?: string; readonly timeoutSeconds?: number } = {},
): Promise<void> {
  const options = [
    "--socket-errors=on",
    `--socket=${socket}`,
    `--tag=${tag}`,
    `--id=${process.pid}`,
    `--priority=authpriv.${level === "warn" ? "warning" : level === "error" ? "err" : level}`,
    // It would cut a line of more than 1 KiB into several entries.
    `--size=${longestLine + 1}`,
  ];
  const written = await capture(
    {
      argv: ["/bin/sh", "-c", script, "logger", ...options],
      environment: { PATH: "/usr/bin:/bin", LC_ALL: "C", JACAMAR_ENTRY: line },
      workingDirectory: "/",
    },
    { timeoutSeconds },
  ).catch((cause: unknown) => {
    throw new LogFailure(`/bin/sh: ${systemErrorCode(cause) ?? "unknown error"}`, { cause });
  });
  if ("signal" in written.ending) {
    throw new LogFailure(`the syslog daemon did not take the entry within ${timeoutSeconds} s`);
  }
  const complaint = written.stderr.trim();
  if (written.ending.exitCode === 127) {
    throw new LogFailure("there is no program logger", { hint: "Install util-linux (Debian: bsdutils)." });
  }
  if (written.ending.exitCode !== 0 || complaint !== "") {
    throw new LogFailure(complaint || `logger ended with ${written.ending.exitCode}`, {
      hint: `Is there a syslog daemon that listens at ${socket}?`,
    });
  }
}
