import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { otherUser } from "../../harness/machine.ts";
import { Jobs } from "../stopping/jobs.ts";
import { assertOneMessage } from "./one-message.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("configuration");
});
after(() => jobs.close());

const other = otherUser();

const damages: Readonly<Record<string, readonly [damage: (file: string) => void, message: RegExp, skip?: boolean]>> = {
  "everybody can write": [(file) => chmodSync(file, 0o666), /can be written by|write/],
  "its group can write": [(file) => chmodSync(file, 0o660), /can be written by|write/],
  "is missing": [(file) => rmSync(file), /ENOENT|no such|does not exist|not there/],
  "is a directory": [
    (file) => {
      rmSync(file);
      mkdirSync(file, { mode: 0o755 });
    },
    /directory|not a (?:regular )?file|EISDIR/,
  ],
  "cannot be read": [
    (file) => chmodSync(file, 0),
    /Cannot use the configuration file "[^"]+": this account may not read it/,
  ],
  "belongs to another user": [
    (file) => {
      chmodSync(file, 0o644);
      chownSync(file, other?.uid ?? 0, -1);
    },
    /belong|owner/,
    other === undefined,
  ],
  "is empty": [(file) => truncateSync(file, 0), /general/],
  "is no TOML": [(file) => writeFileSync(file, "{{{{"), /jacamar\.toml:1:1/],
  "is binary": [(file) => writeFileSync(file, Buffer.from([0, 255, 254, 10, 0])), /jacamar\.toml/],
  "is a hundred megabytes long": [(file) => truncateSync(file, 100 * 1024 * 1024), /jacamar\.toml|bytes/],
};

describe("no job runs with a configuration file that", () => {
  for (const [what, [damage, message, skip]] of Object.entries(damages)) {
    it(what, { skip: skip === true && "only root can act as two users" }, async () => {
      const job = jobs.job();
      damage(join(job.directory, "jacamar.toml"));
      const config = await job.config();
      assert.equal(config.stdout, "");
      assertOneMessage(config, "system", message);
      // The runner calls it even then.
      const cleanup = await job.cleanup();
      assert.deepEqual([cleanup.exitCode, cleanup.stdout, cleanup.stderr], [0, "", ""]);
    });
  }
});
