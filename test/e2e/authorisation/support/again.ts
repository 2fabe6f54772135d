import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runAgain } from "../../../harness/again.ts";
import { testUser } from "../../../harness/machine.ts";
import { type Door, makePlace, type Place, root, skip } from "./place.ts";

/**
 * Tests that were written for `jacamar --no-auth`, below test/e2e/: what a door could break, since each takes its time by each door.
 * `JACAMAR_E2E_AGAIN=all` adds the others that can go through a door; `JACAMAR_E2E_AGAIN=images` runs those with that in their path.
 */
const files = [
  "container-job/container-job",
  "podman-command/secrets",
  "podman-keys/images",
  "podman-keys/podman",
  "stopping/cleanup",
  "stopping/runner-gone",
];
const further = [
  "exit-codes/exit-codes",
  "podman-keys/archive-format",
  "podman-keys/entrypoints",
  "podman-keys/options",
  "podman-keys/pull-policy",
  "registry-auth/registry-auth",
];

function wanted(): readonly string[] {
  const which = process.env["JACAMAR_E2E_AGAIN"] ?? "";
  if (which === "") return files;
  return [...files, ...further].filter((file) => which === "all" || file.includes(which));
}

/** Runs the end-to-end tests of the container job again, through a door: each file is a test here. */
export function runAgainBy(door: Door, name: string): void {
  describe(`by ${door}, the tests of the container job pass again`, { skip, concurrency: 2 }, () => {
    let place: Place;
    let description: string;
    before(async () => {
      place = await makePlace(name);
      place.gitlab.assume(testUser().name);
      description = join(place.stage.directory, "door.json");
      const runner = door === "setuid as root" ? root : place.service;
      const downscope = door === "sudo" ? "sudo" : "setuid";
      const { gitlab, stage } = place;
      const made = { downscope, runner, stage: stage.directory, gitlab: gitlab.url, key: gitlab.key() };
      writeFileSync(description, JSON.stringify(made), { mode: 0o600 });
    });
    after(() => place.remove());

    for (const file of wanted()) {
      it(file, async () => {
        await runAgain(file, { JACAMAR_TEST_DOOR: description });
        assert.ok(place.gitlab.requests() > 0, "the jobs were authorised");
      });
    }
  });
}
