import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { currentAccount } from "../account/account.ts";
import { lookAround } from "./machine.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-machine-"));
after(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string, mode = 0o644): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const look = (runnerFile: string) => lookAround(currentAccount(), directory, runnerFile);

test("lookAround() takes GitLab's address and certificates from the runner's file, and nothing else", async () => {
  const text = `concurrent = 1\n[[runners]]\nurl = "https://gitlab.example.com/"\ntoken = "glrt-secret"\ntls-ca-file = "ca.pem"\n`;
  const file = write("config.toml", text);
  const machine = await look(file);
  assert.deepEqual(machine.runner, { file, url: "https://gitlab.example.com", tlsCaFile: `${directory}/ca.pem` });
  assert.doesNotMatch(JSON.stringify(machine), /secret/);
});

test("lookAround() does without a runner's file, or one that says nothing", async () => {
  for (const text of ["", "a = ", "[[runners]]\nurl = 3\n", "runners = 1"]) {
    assert.equal((await look(write("config.toml", text))).runner, undefined, text);
  }
  assert.equal((await look(join(directory, "none.toml"))).runner, undefined);
});

test("lookAround() finds the first scheduler, and a Podman that can be started", async () => {
  assert.equal((await look("/nonexistent")).scheduler, undefined);
  for (const name of ["qsub", "sbatch"]) write(name, "#!/bin/sh\n", 0o755);
  write("podman", "no program", 0o755);
  const machine = await look("/nonexistent");
  assert.deepEqual(machine.scheduler, { executor: "slurm", program: "sbatch", path: `${directory}/sbatch` });
  assert.equal(machine.podman, undefined);
  write("podman", "#!/bin/sh\necho podman version 9.9\n", 0o755);
  assert.equal((await look("/nonexistent")).podman, "podman version 9.9");
});
