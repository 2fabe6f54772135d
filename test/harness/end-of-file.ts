import { after } from "node:test";

/**
 * How long a file's process may go on after its last test. What the file itself does in an `after` outside of any suite begins together
 * with this clock: cleaning up after forty jobs takes its time on a busy machine. The harness' own test has less patience.
 */
const graceMilliseconds = Number(process.env["JACAMAR_TEST_GRACE_MILLISECONDS"] ?? 60_000);

/**
 * For `node --import`, before each test file: a file whose process still runs a while after its last test has left something
 * open, and fails instead of holding up all that come after it. `--test-force-exit` would end it without a word, and with it
 * every file whose last results are still in a pipe.
 */
if (process.env["NODE_TEST_CONTEXT"] !== undefined) {
  after(() => {
    setTimeout(() => {
      process.stderr.write(
        `The file's tests are done, but it still has: ${process.getActiveResourcesInfo().join(", ")}\n`,
      );
      process.exit(1);
    }, graceMilliseconds).unref();
  });
}
