import assert from "node:assert/strict";
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { whyUntrusted } from "./trusted-path.ts";

const root = mkdtempSync(join(userInfo().homedir, ".jacamar-trusted-"));
after(() => rmSync(root, { recursive: true, force: true }));
const notRoot = process.getuid?.() !== 0 && "only root can make files of another owner";
const stranger = 65534;
const rules = { forbidden: 0o022, sticky: true, makeDirectory: false };

describe("whyUntrusted() of a file", () => {
  let above: string;
  let directory: string;
  let file: string;
  let count = 0;
  beforeEach(() => {
    count += 1;
    above = join(root, `${count}`);
    directory = join(above, "etc");
    file = join(directory, "file");
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileSync(file, "", { mode: 0o644 });
  });

  test("trusts what only root and we can change, also behind links of ours", () => {
    assert.equal(whyUntrusted(file, rules), undefined);
    symlinkSync("etc", join(above, "link"));
    symlinkSync("../etc/file", join(directory, "other"));
    assert.equal(whyUntrusted(join(above, "link", "other"), rules), undefined);
    assert.equal(whyUntrusted(`${directory}/./../etc//file`, rules), undefined);
  });

  test("refuses what others can write, and what lies where they can exchange it", () => {
    for (const [path, mode] of [
      [file, 0o664],
      [file, 0o646],
      [directory, 0o775],
      [above, 0o757],
    ] as const) {
      chmodSync(path, mode);
      assert.equal(whyUntrusted(file, rules), `"${path}" is open to others (mode 0${mode.toString(8)})`);
      chmodSync(path, 0o755);
    }
  });

  test("takes a sticky directory on the way where the rules say so, and never an end that is open", () => {
    chmodSync(directory, 0o1777);
    assert.equal(whyUntrusted(file, rules), undefined);
    assert.match(whyUntrusted(file, { ...rules, sticky: false }) ?? "", /is open to others/);
    assert.match(whyUntrusted(directory, rules) ?? "", /is open to others/);
  });

  test("refuses what is somebody else's: the file, a directory above it, a link to it", { skip: notRoot }, () => {
    for (const path of [file, directory, above]) {
      chownSync(path, stranger, stranger);
      assert.equal(whyUntrusted(file, rules), `"${path}" belongs to the account number ${stranger}`);
      chownSync(path, 0, 0);
    }
    const link = join(above, "link");
    symlinkSync("etc/file", link);
    lchownSync(link, stranger, stranger);
    assert.match(whyUntrusted(link, rules) ?? "", /link" belongs to/);
  });

  test("says what is missing, no directory, or a circle", () => {
    assert.match(whyUntrusted(join(above, "missing"), rules) ?? "", /cannot be used: ENOENT/);
    assert.match(whyUntrusted(join(file, "below"), rules) ?? "", /is not a directory/);
    symlinkSync("circle", join(above, "circle"));
    assert.match(whyUntrusted(join(above, "circle"), rules) ?? "", /is a symbolic link/);
  });
});
