import type { Downscope } from "./answers.ts";

/** The runner's patience is a little longer than ours (`kill_timeout`, 120 s), in seconds. */
const gracefulSeconds = 150;

/**
 * The block for the runner's config.toml.
 *
 * @param directory where `jacamar` and `jacamar-auth` are.
 * @param file the configuration, as an absolute path.
 */
export function runnerBlock(directory: string, file: string, downscope: Downscope): string {
  const program = downscope === "no-auth" ? "jacamar" : "jacamar-auth";
  const before = downscope === "no-auth" ? ["--no-auth"] : [];
  const lines = [
    "  [runners.custom]",
    ...(["config", "prepare", "run", "cleanup"] as const).flatMap((stage) => {
      const named = stage === "config" || stage === "cleanup" ? ["--configuration", file] : [];
      const args = [...before, stage, ...named].map((argument) => JSON.stringify(argument)).join(", ");
      return [`    ${stage}_exec = ${JSON.stringify(`${directory}/${program}`)}`, `    ${stage}_args = [${args}]`];
    }),
    "    # Longer than kill_timeout of jacamar.toml (120 s), so that the driver can end a job before it is ended itself.",
    `    graceful_kill_timeout = ${gracefulSeconds}`,
  ];
  return `${lines.join("\n")}\n`;
}
