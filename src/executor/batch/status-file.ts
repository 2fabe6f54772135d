import { readSmallFile } from "../../workspace/small-file.ts";

/** What a job file has left as its last act. The job can write there itself, so it says something of this job alone. */
export interface JobStatus {
  /** The script's own exit code; undefined when the container never came to leave one. */
  readonly script: number | undefined;
  /** Exit code of what ran the script: Bash, or the Podman client. */
  readonly client: number;
  /** How long the output is, as the node sees it. */
  readonly bytes: number;
  /** The signal by which the job was told to end, if it was. */
  readonly signal: string | undefined;
  readonly beganSeconds: number;
  readonly endedSeconds: number;
}

/** What a job file says when it begins. */
export interface JobStart {
  /** Seconds since 1970, by the node's clock: another number is another start, after a requeue. */
  readonly beganSeconds: number;
  readonly nodes: string;
}

/** Reads the status; undefined while there is none, or none that can be read. */
export function readJobStatus(path: string): JobStatus | undefined {
  const text = readSmallFile(path, limitBytes);
  const match =
    /^script=(none|\d{1,3}) client=(\d{1,3}) bytes=(\d{1,15}) signal=(none|[A-Z]{1,10})? began=(\d{1,12}) ended=(\d{1,12})\n$/.exec(
      text ?? "",
    );
  if (match === null) return undefined;
  const [, script, client, bytes, signal, began, ended] = match;
  if (Number(client) > 255 || (script !== "none" && Number(script) > 255)) return undefined;
  return {
    script: script === "none" ? undefined : Number(script),
    client: Number(client),
    bytes: Number(bytes),
    signal: signal === "none" || signal === "" ? undefined : signal,
    beganSeconds: Number(began),
    endedSeconds: Number(ended),
  };
}

/** Reads what the job file said as it began; undefined while it has not. */
export function readJobStart(path: string): JobStart | undefined {
  const [, began, nodes] = /^(\d{1,12}) ([^\n]{0,600})\n$/.exec(readSmallFile(path, limitBytes) ?? "") ?? [];
  return began === undefined ? undefined : { beganSeconds: Number(began), nodes: nodes ?? "" };
}

const limitBytes = 1024;
