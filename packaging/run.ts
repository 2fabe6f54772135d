import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Runs a program to its end and returns its output. Rejects, with its errors, when it fails. */
export async function run(
  program: string,
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<NodeJS.ProcessEnv> } = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(program, argv, { ...options, env: { ...(options.env ?? process.env) } });
  return stdout;
}
