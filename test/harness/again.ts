import assert from "node:assert/strict";
import { asUser, checkout } from "./machine.ts";

/**
 * Runs an end-to-end test file (`container-job/container-job`) once more, as root and with some variables set otherwise. Throws unless
 * it has tests and they all pass.
 */
export async function runAgain(file: string, variables: Readonly<Record<string, string>>): Promise<void> {
  // NODE_TEST_CONTEXT tells a test that it runs in another one.
  const own = Object.entries(process.env).filter(([key]) => !key.startsWith("NODE_"));
  const kept = own.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  const { exitCode, stdout, stderr } = await asUser(
    { name: "root", uid: 0, gid: 0, home: "/root" },
    [
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      "--test",
      "--test-timeout=120000",
      `--import=${checkout("test/harness/end-of-file.ts")}`,
      `--test-reporter=${checkout("test/harness/reporter.ts")}`,
      checkout("test/e2e", `${file}.test.ts`),
    ],
    { env: { ...Object.fromEntries(kept), ...variables }, cwd: checkout(), timeoutSeconds: 280 },
  );
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /^[1-9][0-9]* passed, 0 failed/m);
}
