import { currentAccount } from "./account/account.ts";
import { runStageAsUser } from "./command/as-user.ts";
import { checkIdentity, requireIdentity } from "./command/identity.ts";
import { parseCall } from "./command/call.ts";
import { readyFilter } from "./command/ready-filter.ts";
import { unpackState } from "./command/state.ts";
import { becomeUser } from "./downscope/setuid.ts";
import { runProgram } from "./exit.ts";
import { JobLog } from "./log/job-log.ts";
import { ownCommand } from "./process/own-program.ts";
import { listenForStop } from "./process/signals.ts";
import { version } from "./version.ts";

const stop = listenForStop();
void runProgram(main, stop);

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  const call = parseCall(argv);
  switch (call.command) {
    case "version":
      return print(version);
    case "help":
      return print((await import("./terminal/program-help.ts")).jacamarAuthHelp());
    case "unclear":
      throw (await import("./terminal/unclear-call.ts")).unclearCall("jacamar-auth", argv);
    case "handover": {
      // A service account's child, which has the capabilities of this program's file.
      const { runHandedOver } = await import("./command/handed-over.ts");
      await runHandedOver(stop, async (environment) => {
        const identity = requireIdentity(unpackState(environment));
        becomeUser(identity, await readyFilter(identity));
        checkIdentity(currentAccount(), identity);
      });
      return 0;
    }
    case "config": {
      const { runAuthorisedConfig } = await import("./command/authorised-config.ts");
      await runAuthorisedConfig(process.env, call, stop);
      return 0;
    }
    case "prepare":
    case "run":
    case "cleanup":
      return runStageAsUser({
        call,
        environment: process.env,
        stop,
        log: new JobLog(1),
        ownCommand: ownCommand(),
      });
  }
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
