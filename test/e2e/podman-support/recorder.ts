import { readFileSync, rmSync } from "node:fs";
import type { Workbench } from "./workbench.ts";

/** One start of Podman: its arguments without its own name, and its whole environment. */
export interface Call {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Recorder {
  /** For `application_path`. */
  readonly program: string;
  /** The file that grows by a line of JSON for each call. */
  readonly file: string;
  /** What was called since the last time. */
  take(): Call[];
}

/** Makes a program that writes down how it was called and then becomes the real Podman. */
export function makeRecorder(bench: Workbench): Recorder {
  const file = bench.write("calls", "");
  const program = bench.write(
    "podman",
    `#!NODE --disable-warning=ExperimentalWarning
const { appendFileSync, existsSync } = require("node:fs");
const argv = process.argv.slice(2);
appendFileSync(${JSON.stringify(file)}, JSON.stringify({ argv, env: process.env }) + "\\n");
const podman = process.env.PATH.split(":").map((directory) => directory + "/podman").find(existsSync);
process.execve(podman, ["podman", ...argv], process.env);
`,
    0o700,
  );
  return {
    program,
    file,
    take: () => {
      const calls = readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      rmSync(file);
      bench.write("calls", "");
      return calls.map((line) => toCall(JSON.parse(line)));
    },
  };
}

function toCall(data: unknown): Call {
  const isCall = typeof data === "object" && data !== null && "argv" in data && "env" in data;
  if (!isCall || !Array.isArray(data.argv) || typeof data.env !== "object" || data.env === null) {
    throw new TypeError(`This is no call: ${JSON.stringify(data)}`);
  }
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(data.env)) env[name] = String(value);
  return { argv: data.argv.map(String), env };
}
