import type { Level } from "./entry.ts";
import { deliver } from "./stream.ts";
import { priority, tag } from "./syslog.ts";

/**
 * Hands a line to journald through the socket by which services' standard output comes to it: seven lines (name, unit,
 * priority with facility, whether lines have a priority of their own, and three times whether to forward), then text
 * (systemd, src/journal/journald-stream.c, `stdout_stream_line()`). It needs no other program.
 *
 * Throws {@link LogFailure}.
 */
export async function writeToJournald(
  line: string,
  level: Level,
  {
    socket = "/run/systemd/journal/stdout",
    timeoutSeconds = 5,
  }: { readonly socket?: string; readonly timeoutSeconds?: number } = {},
): Promise<void> {
  const header = [tag, "", priority(level), 0, 0, 0, 0];
  await deliver({ path: socket }, `${header.join("\n")}\n${line}\n`, timeoutSeconds);
}
