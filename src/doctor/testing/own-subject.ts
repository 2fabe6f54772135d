import { currentAccount } from "../../account/account.ts";
import { checkConfiguration } from "../../config/load.ts";
import type { Environment } from "../../process/command.ts";
import { Subject } from "../subject.ts";

/** The account of the tests, with a configuration and a login of the test's own: for checks that ask a network alone. */
export async function ownSubject(configuration: string, login: Environment): Promise<Subject> {
  const { config } = await checkConfiguration(`[general]\nexecutor = "shell"\ndata_dir = "/x"\n${configuration}`, "f");
  if (config === undefined) throw new Error(`The configuration is wrong: ${configuration}`);
  const account = { ...currentAccount(), uid: 4_000_000 };
  return new Subject({
    account,
    config,
    base: "/x",
    login: () => Promise.resolve(login),
    stop: new AbortController().signal,
  });
}
