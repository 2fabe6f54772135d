import { JacamarError } from "../../../src/error/error.ts";
import { runTry } from "../../../src/try/try.ts";

/** `jacamar try` with the fake driver, as a process of its own: `node run-try.ts ARGUMENTS…`. */
try {
  process.exitCode = await runTry(process.argv.slice(2), {
    environment: process.env,
    workingDirectory: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    driver: [`${import.meta.dirname}/fake-driver`],
    version: "test",
    waits: { prepare: 0, stage: 0 },
  });
} catch (error) {
  if (!(error instanceof JacamarError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint ?? ""}\n`);
  process.exitCode = 9;
}
