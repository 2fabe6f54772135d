import assert from "node:assert/strict";
import { chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { currentAccount } from "../account/account.ts";
import { makeRuntimeDirectory, runtimeDirectory } from "./surroundings.ts";

const notRoot = process.getuid?.() !== 0 && "only root can make directories of other users";
const directory = mkdtempSync(join(tmpdir(), "jacamar-surroundings-"));
after(() => rmSync(directory, { recursive: true }));

/** An account without a directory below /run/user, and whose place in /tmp somebody else has taken. */
const account = { ...currentAccount(), name: "jact-nobody", uid: 64_991 };
const taken = `/tmp/jacamar-ci-${account.uid}`;

test("a runtime directory is never one in a directory of somebody else's", { skip: notRoot }, () => {
  const base = (name: string, uid: number) => {
    const path = join(directory, name);
    mkdirSync(join(path, "run"), { recursive: true, mode: 0o700 });
    chownSync(path, uid, uid);
    chownSync(join(path, "run"), account.uid, account.uid);
    return path;
  };
  const [own, foreign, link] = [base("own", account.uid), base("foreign", 64_992), join(directory, "link")];
  symlinkSync(foreign, link);
  mkdirSync(taken, { mode: 0o700 });
  try {
    assert.equal(runtimeDirectory(account, own), `${own}/run`);
    assert.equal(makeRuntimeDirectory(account, own), `${own}/run`);
    for (const place of [foreign, link]) {
      assert.equal(runtimeDirectory(account, place), undefined);
      assert.throws(() => makeRuntimeDirectory(account, place), { code: "directory_failed" });
    }
  } finally {
    rmSync(taken, { recursive: true });
  }
});
