import { JacamarError } from "../error/error.ts";
import { encodeEntry, type Level, levelOf, type LogEntry } from "./entry.ts";
import { LogFailure } from "./log-failure.ts";
import { chooseSink, defaultLogging, type LoggingSettings, type Sink } from "./sink.ts";

/** `unwanted`: the settings say that such an entry is not logged. `failed`: only with `required = false`. */
export type Written = "written" | "unwanted" | "failed";

const grades = { debug: 0, info: 1, warn: 2, error: 3 } as const satisfies Record<Level, number>;

/**
 * Writes an entry to the system log that the settings name (the local syslog without settings), and returns when it is
 * there, as far as that kind of log can tell.
 *
 * Throws `log_failed` when it cannot be written, unless `required` is false; `config_invalid` for settings that name no log.
 */
export async function writeEntry(settings: LoggingSettings | undefined, entry: LogEntry): Promise<Written> {
  const { enabled, level: least, required = true, ...rest } = settings ?? defaultLogging;
  const sink = chooseSink({ enabled, level: least, ...rest });
  const level = levelOf(entry);
  if (!enabled || grades[level] < grades[least]) return "unwanted";
  try {
    await writeTo(sink, encodeEntry(entry), level, entry.time);
    return "written";
  } catch (error) {
    if (!(error instanceof LogFailure)) throw error;
    if (!required) return "failed";
    throw new JacamarError("log_failed", `Cannot write the system log: ${error.message}`, {
      hint: [error.hint, "No job runs without it, unless [auth.logging] says otherwise."].filter(Boolean).join(" "),
      cause: error,
    });
  }
}

/** Only what the sink needs is loaded. */
async function writeTo(sink: Sink, line: string, level: Level, time: Date): Promise<void> {
  switch (sink.kind) {
    case "file": {
      const { appendLine } = await import("./file.ts");
      appendLine(sink.path, line);
      return;
    }
    case "syslog": {
      const { writeToLocalSyslog } = await import("./local-syslog.ts");
      await writeToLocalSyslog(line, level);
      return;
    }
    case "journald": {
      const { writeToJournald } = await import("./journald.ts");
      await writeToJournald(line, level);
      return;
    }
    case "remote": {
      const [{ sendToRemoteSyslog }, { syslogMessage }] = await Promise.all([
        import("./remote-syslog.ts"),
        import("./syslog.ts"),
      ]);
      await sendToRemoteSyslog(sink, syslogMessage(line, level, time));
    }
  }
}
