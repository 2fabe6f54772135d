import { capture } from "./capture.ts";

/**
 * Leaves an entry in the machine's system log (`logger` of util-linux). Returns whether it is there.
 * The text must hold no secret.
 */
export async function writeSystemLog(text: string): Promise<boolean> {
  try {
    const written = await capture(
      {
        argv: ["logger", "--tag", "jacamar", "--priority", "user.err", "--", text.slice(0, 8000)],
        environment: { PATH: "/usr/local/bin:/usr/bin:/bin" },
        workingDirectory: "/",
      },
      { timeoutSeconds: 5 },
    );
    return "exitCode" in written.ending && written.ending.exitCode === 0;
  } catch {
    return false;
  }
}
