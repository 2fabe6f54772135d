import { spawn } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { connect } from "node:net";
import { awayWords } from "./away.ts";
import { countCall, type Fault, takeFault } from "./fault.ts";
import { type Frame, lineReader, type Opening, passedOn, readFrame, socketOf } from "./protocol.ts";

/**
 * Every program of a scheduler that is played here, by whatever name it is called: it hands its command line to the
 * controller, prints what that says, and ends as that says; or goes wrong, as a test wants it.
 */

/** Holds the command line of the part of a program that reaches the controller late; cleanup ends what has a job's paths on its own. */
const lateVariable = "JACAMAR_STAND_IN_LATE";
const late = process.env[lateVariable];
delete process.env[lateVariable];

const [called = "", ...args] = late === undefined ? process.argv.slice(2) : toWords(JSON.parse(late));
const stateDirectory = process.env["JACAMAR_STAND_IN"] ?? "";
const waitsEverySeconds = 1;

function toWords(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** `flux jobs` and `flux job kill` are programs of their own. */
function programName(): string {
  if (called !== "flux") return called;
  const words = args.filter((word) => !word.startsWith("-")).slice(0, args[0] === "job" ? 2 : 1);
  return ["flux", ...words].join("-");
}

const program = programName();
const isControl = program === "stand-in";
let stdout = Buffer.alloc(0);
let stderr = Buffer.alloc(0);

/** Ends the program as any other, as long as it talks to nobody. */
let passOn = (signal: NodeJS.Signals): unknown => process.exit(signal === "SIGINT" ? 130 : 143);
for (const signal of passedOn) process.on(signal, (name) => passOn(name));

function ask(onFrame: (frame: Frame) => void, onAway: () => void): void {
  const socket = connect(socketOf(stateDirectory));
  const opening: Opening = {
    program: called,
    args,
    environment: Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? ""])),
    workingDirectory: process.cwd(),
  };
  let answered = false;
  socket.setEncoding("utf8");
  socket.on("connect", () => socket.write(`${JSON.stringify(opening)}\n`));
  socket.on(
    "data",
    lineReader((line) => {
      answered = true;
      onFrame(readFrame(line));
    }),
  );
  socket.on("error", () => undefined);
  socket.on("close", () => {
    if (!answered) onAway();
  });
  passOn = (signal) => socket.write(`${JSON.stringify({ signal })}\n`);
}

/** An answer as it comes. */
function plainly(): void {
  ask((frame) => {
    if ("exitCode" in frame) end(frame.exitCode);
    else process[frame.stream].write(Buffer.from(frame.base64, "base64"));
  }, away);
}

/** The whole answer first. */
function collect(then: (exitCode: number) => void): void {
  ask((frame) => {
    if ("exitCode" in frame) return then(frame.exitCode);
    const bytes = Buffer.from(frame.base64, "base64");
    if (frame.stream === "stdout") stdout = Buffer.concat([stdout, bytes]);
    else stderr = Buffer.concat([stderr, bytes]);
  }, away);
}

function away(): void {
  const words = awayWords(program, args);
  if (words === "waits") {
    process.stderr.write("Cannot connect to LSF. Please wait ...\n");
    setTimeout(plainly, waitsEverySeconds * 1000);
    return;
  }
  process.stderr.write(words.stderr);
  end(words.exitCode);
}

/** What was written to a pipe must be gone before the process is. */
function end(exitCode: number): void {
  process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
}

/** Does the work later, with the script as it is now: a scheduler is given the text of it, but for LSF, which gets a line of shell. */
function workLater(milliseconds: number): void {
  const script = args.at(-1) ?? "";
  const copy = existsSync(script) ? `${stateDirectory}/late.${process.pid}` : script;
  if (copy !== script) cpSync(script, copy);
  const env = { ...process.env, [lateVariable]: JSON.stringify([called, ...args.slice(0, -1), copy]) };
  const again = [process.argv[1] ?? "", String(milliseconds)];
  spawn(process.execPath, again, { env, detached: true, stdio: "ignore" }).unref();
}

function fail({ stdout: out, stderr: err, exitCode }: Fault): void {
  if (out === undefined && err === undefined) return away();
  process.stdout.write(out ?? "");
  process.stderr.write(err ?? "");
  end(exitCode ?? 1);
}

function goWrong(fault: Fault): void {
  switch (fault.kind) {
    case "late":
      workLater(fault.milliseconds ?? 1000);
      return fail(fault);
    case "fails":
      return fail(fault);
    case "slow":
      setTimeout(plainly, fault.milliseconds ?? 1000);
      return;
    case "hangs":
      setInterval(() => undefined, 60_000);
      return;
    case "half":
      return collect(() => {
        process.stdout.write(stdout.subarray(0, Math.floor(stdout.length / 2)));
        end(fault.exitCode ?? 0);
      });
    case "nonsense":
      process.stdout.write(fault.stdout ?? "\u0000{[<| 17 bottles\n");
      return end(fault.exitCode ?? 0);
    case "dies":
      return collect(() => setTimeout(() => process.kill(process.pid, "SIGKILL"), fault.milliseconds ?? 0));
  }
}

const isPlain = isControl || late !== undefined;
if (!isPlain) countCall(stateDirectory, program);
const fault = isPlain ? undefined : takeFault(stateDirectory, program);
if (late !== undefined) setTimeout(plainly, Number(process.argv[2]));
else if (fault === undefined) plainly();
else goWrong(fault);
