import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readStorageConfiguration } from "./storage-configuration.ts";

const home = mkdtempSync(join(tmpdir(), "jacamar-storage-"));
after(() => rmSync(home, { recursive: true }));
const alice = { name: "alice", uid: 1005, gid: 1005, home, shell: "/bin/bash" };
const own = `${home}/.config/containers/storage.conf`;

function write(path: string, text: string): void {
  mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
  writeFileSync(path, text);
}

test("readStorageConfiguration() takes the user's own file, and expands what stands in a path", () => {
  write(own, '[storage]\ndriver = "overlay"\nrootless_storage_path = "/local/${USER}/$UID/store"\n');
  assert.deepEqual(readStorageConfiguration(alice, {}), {
    file: own,
    ownFile: own,
    driver: "overlay",
    graphRoot: "/local/alice/1005/store",
  });
  write(own, '[storage]\ndriver = ""\ngraphroot = "/other"\n');
  assert.deepEqual(readStorageConfiguration(alice, {}), {
    file: own,
    ownFile: own,
    driver: undefined,
    graphRoot: "/other",
  });
});

test("readStorageConfiguration() takes the usual place where the file says nothing, or cannot be understood", () => {
  const usual = `${home}/.local/share/containers/storage`;
  for (const text of ["", "no TOML", "[storage]\ndriver = 3\n"]) {
    write(own, text);
    assert.equal(readStorageConfiguration(alice, {}).graphRoot, usual, text);
  }
  assert.equal(readStorageConfiguration(alice, { XDG_DATA_HOME: "/data" }).graphRoot, "/data/containers/storage");
});

test("readStorageConfiguration() follows the variables of the login", () => {
  write(`${home}/named.conf`, '[storage]\ndriver = "btrfs"\n');
  assert.equal(readStorageConfiguration(alice, { CONTAINERS_STORAGE_CONF: `${home}/named.conf` }).driver, "btrfs");
  write(`${home}/xdg/containers/storage.conf`, '[storage]\ndriver = "zfs"\n');
  assert.equal(readStorageConfiguration(alice, { XDG_CONFIG_HOME: `${home}/xdg` }).driver, "zfs");
});
