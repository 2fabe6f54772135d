import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { JacamarError } from "../error/error.ts";
import { refuseExisting, writeWhole } from "./write-new.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-init-"));
after(() => rmSync(directory, { recursive: true }));

function refused(work: () => void, message: RegExp): void {
  assert.throws(
    work,
    (error) => error instanceof JacamarError && error.code === "usage" && message.test(error.message),
  );
}

test("writeWhole() writes a new file with its mode, whatever the umask, and leaves nothing beside it", () => {
  const path = join(directory, "a.toml");
  const before = process.umask(0o077);
  try {
    writeWhole(path, "text\n", 0o644);
  } finally {
    process.umask(before);
  }
  assert.equal(readFileSync(path, "utf8"), "text\n");
  assert.equal(statSync(path).mode & 0o7777, 0o644);
  assert.deepEqual(readdirSync(directory), ["a.toml"]);
});

test("writeWhole() never touches what is there, be it a link that leads nowhere", () => {
  const path = join(directory, "a.toml");
  refused(() => writeWhole(path, "other", 0o600), /is there already, and was not touched/);
  assert.equal(readFileSync(path, "utf8"), "text\n");
  const target = join(directory, "target");
  const link = join(directory, "link.toml");
  symlinkSync(target, link);
  refused(() => refuseExisting(link), /is there already/);
  refused(() => writeWhole(link, "other", 0o600), /is there already/);
  assert.equal(existsSync(target), false);
  assert.deepEqual(readdirSync(directory).toSorted(), ["a.toml", "link.toml"]);
});

test("writeWhole() says what the system says of the place", () => {
  refused(() => writeWhole(join(directory, "none/a.toml"), "", 0o600), /^Cannot write ".*": ENOENT$/);
});
