import { describe, it } from "node:test";
import { runAgain } from "../../harness/again.ts";

/** What a launcher and a Node.js of the machine could do otherwise than the single executable, which all other tests run. */
const files = [
  "authorisation/doors",
  "bash/bash",
  "exit-codes/start-up-files",
  "hostile-input/environment",
  "stopping/sigterm",
];
const skip = process.getuid?.() === 0 ? false : "becoming users takes root";

describe("with the programs of the npm package, tests of the single executable pass again", {
  skip,
  concurrency: 2,
}, () => {
  for (const file of files) it(file, () => runAgain(file, { JACAMAR_TEST_PROGRAMS: "" }));
});
