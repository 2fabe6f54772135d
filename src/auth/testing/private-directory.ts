import { mkdtempSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A new directory that nobody else can get at, nor exchange: not in /tmp. It goes when the tests of the file are done. */
export function privateDirectory(): string {
  const path = mkdtempSync(join(userInfo().homedir, ".jacamar-keys-"));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
