import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { userInfo } from "node:os";
import { Cluster } from "./cluster.ts";
import { control } from "./control.ts";
import { flux } from "./flux.ts";
import type { Call, FrontEnd, Program } from "./front-end.ts";
import { lsf } from "./lsf.ts";
import { pbs } from "./pbs.ts";
import { type Frame, lineReader, readOpening, readSignal, socketOf } from "./protocol.ts";
import { slurm } from "./slurm.ts";

/**
 * `controller.ts KIND STATE-DIRECTORY`: the daemon behind the programs. It runs the jobs of the one user that it runs as, and
 * ends with all of them when it is told to (SIGTERM), or when whoever started it is gone. SIGUSR1 lets it refuse
 * connections, SIGUSR2 take them again; jobs go on meanwhile.
 */

const frontEnds: Readonly<Record<string, FrontEnd>> = { slurm, flux, pbs, lsf };
const [kind = "", stateDirectory = ""] = process.argv.slice(2);
const frontEnd = frontEnds[kind];
if (frontEnd === undefined || stateDirectory === "") throw new Error(`Unknown scheduler: ${kind}`);

const { manner, programs } = frontEnd;
const cluster = new Cluster(stateDirectory, manner);
const userName = userInfo().username;

function serve(socket: Socket): void {
  socket.setEncoding("utf8");
  const signals: ((signal: NodeJS.Signals) => void)[] = [];
  const gone = new AbortController();
  let opened = false;
  let over = false;
  const send = (frame: Frame) => {
    if (!socket.destroyed) socket.write(`${JSON.stringify(frame)}\n`);
  };
  const finish = (exitCode: number) => {
    over = true;
    send({ exitCode });
    socket.end();
  };
  socket.on("error", () => undefined);
  socket.on("close", () => {
    if (!over) gone.abort();
  });
  const write = (stream: "stdout" | "stderr") => (text: string | Buffer) =>
    send({ stream, base64: Buffer.from(text).toString("base64") });
  socket.on(
    "data",
    lineReader((line) => {
      if (opened) {
        const signal = readSignal(line);
        if (signal !== undefined) for (const listener of signals) listener(signal);
        return;
      }
      opened = true;
      const opening = readOpening(line);
      const call: Call = {
        ...opening,
        userName,
        out: write("stdout"),
        err: write("stderr"),
        onSignal: (listener) => signals.push(listener),
        gone: gone.signal,
      };
      if (opening.program !== "stand-in") {
        // A plain program ends by a signal.
        call.onSignal((signal) => {
          if (signals.length === 1) finish(128 + (signal === "SIGINT" ? 2 : 15));
        });
      }
      void run(opening.program === "stand-in" ? control : programs[opening.program], call).then(finish);
    }),
  );
}

async function run(program: Program | undefined, call: Call): Promise<number> {
  if (program === undefined) {
    call.err(`${call.program}: no such program in this stand-in\n`);
    return 127;
  }
  try {
    return await program(call, cluster);
  } catch (error) {
    call.err(`${call.program}: the stand-in failed: ${error instanceof Error ? error.stack : String(error)}\n`);
    return 70;
  }
}

const path = socketOf(stateDirectory);
let server = createServer(serve);

function listen(): void {
  rmSync(path, { force: true });
  server = createServer(serve);
  server.listen(path, () => process.stdout.write("listening\n"));
}

function end(): void {
  cluster.killAll();
  rmSync(path, { force: true });
  process.exit(0);
}

process.on("SIGUSR1", () => {
  server.close();
  rmSync(path, { force: true });
});
process.on("SIGUSR2", listen);
process.on("SIGTERM", end);
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) end();
}, 500);
listen();
