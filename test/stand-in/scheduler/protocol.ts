/** What a program sends to the controller first, as one line of JSON: how it was called. */
export interface Opening {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

/** Signals that a program passes on after that, one line of JSON each. */
export const passedOn = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** What the controller sends, one line of JSON each; the last one is the exit code. */
export type Frame = { readonly stream: "stdout" | "stderr"; readonly base64: string } | { readonly exitCode: number };

/** The socket of the controller in the state directory. */
export function socketOf(stateDirectory: string): string {
  return `${stateDirectory}/controller`;
}

/** Calls a function for each whole line of a stream of text. */
export function lineReader(onLine: (line: string) => void): (chunk: string) => void {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
}

/** A value of JSON, as the program on the other side sends it: both sides are of one make, so a wrong one is a defect. */
export function readOpening(line: string): Opening {
  const record = toRecord(JSON.parse(line));
  const { program, args, environment, workingDirectory } = record;
  if (typeof program !== "string" || !Array.isArray(args) || typeof workingDirectory !== "string") {
    throw new TypeError(`Cannot understand: ${line}`);
  }
  const variables = Object.entries(toRecord(environment)).map(([key, value]): [string, string] => [key, String(value)]);
  return { program, args: args.map(String), environment: Object.fromEntries(variables), workingDirectory };
}

export function readSignal(line: string): NodeJS.Signals | undefined {
  const { signal } = toRecord(JSON.parse(line));
  return passedOn.find((each) => each === signal);
}

export function readFrame(line: string): Frame {
  const { stream, base64, exitCode } = toRecord(JSON.parse(line));
  if (typeof exitCode === "number") return { exitCode };
  if ((stream === "stdout" || stream === "stderr") && typeof base64 === "string") return { stream, base64 };
  throw new TypeError(`Cannot understand: ${line}`);
}

export function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}
