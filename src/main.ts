import { currentAccount } from "./account/account.ts";
import { checkIdentity, requireIdentity } from "./command/identity.ts";
import { parseCall, runStage } from "./command/call.ts";
import { openContext } from "./command/context.ts";
import { readyFilter } from "./command/ready-filter.ts";
import { unpackState } from "./command/state.ts";
import { readRunnerFiles } from "./command/runner-files.ts";
import { runProgram } from "./exit.ts";
import { JobLog } from "./log/job-log.ts";
import { listenForStop } from "./process/signals.ts";
import type { CommandName } from "./terminal/commands.ts";
import { runInTerminal, type Tool } from "./terminal/terminal.ts";
import { version } from "./version.ts";

/** The commands for people. No stage of a job needs them, so each is read only when it is called. */
const tools: Readonly<Record<CommandName, () => Promise<Tool>>> = {
  check: async () => (await import("./check/check.ts")).checkHere,
  doctor: async () => (await import("./command/doctor.ts")).doctorHere,
  explain: async () => (await import("./explain/explain.ts")).runExplain,
  init: async () => (await import("./init/init.ts")).initHere,
  report: async () => (await import("./report/report.ts")).makeReport,
  reap: async () => (await import("./reap/reap.ts")).runReap,
  try: async () => (await import("./try/try.ts")).tryHere,
};

const argv = process.argv.slice(2);
const asked = argv[0] === "help";
const tool = toolNamed((asked ? argv[1] : argv[0]) ?? "");
if (tool !== undefined) {
  void runProgram(async () => runInTerminal(await tool(), asked ? ["--help"] : argv.slice(1)), undefined);
} else {
  const stop = listenForStop();
  void runProgram(() => main(stop), stop);
}

async function main(stop: AbortSignal): Promise<number> {
  const call = parseCall(argv);
  switch (call.command) {
    case "version":
      return print(version);
    case "help":
      return print((await import("./terminal/program-help.ts")).jacamarHelp());
    case "unclear":
      throw (await import("./terminal/unclear-call.ts")).unclearCall("jacamar", argv);
    case "handover": {
      const { runHandedOver } = await import("./command/handed-over.ts");
      // sudo has opened the door already; it must have been this user's.
      await runHandedOver(stop, async (environment) => {
        const identity = requireIdentity(unpackState(environment));
        checkIdentity(currentAccount(), identity);
        (await readyFilter(identity))?.load();
      });
      return 0;
    }
    case "config": {
      const { runConfig } = await import("./command/config.ts");
      await runConfig(openContext(process.env, readRunnerFiles(process.env, undefined), stop), call.configuration);
      return 0;
    }
    case "prepare":
    case "run":
    case "cleanup": {
      const files = readRunnerFiles(process.env, call.command === "run" ? call.script : undefined);
      await runStage(call, openContext(process.env, files, stop), new JobLog(1));
      return 0;
    }
  }
}

function toolNamed(name: string): (() => Promise<Tool>) | undefined {
  return Object.entries(tools).find(([known]) => known === name)?.[1];
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
