import assert from "node:assert/strict";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { JacamarError } from "../error/error.ts";
import { writePage } from "./write-page.ts";

describe("writePage()", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "jacamar-page-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("makes a page for its owner alone", () => {
    writePage(join(directory, "a.html"), "page");
    assert.equal(readFileSync(join(directory, "a.html"), "utf8"), "page");
    assert.equal(statSync(join(directory, "a.html")).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(directory), ["a.html"]);
  });

  it("replaces a page, and keeps the mode that it had", () => {
    const path = join(directory, "a.html");
    writeFileSync(path, "a longer page of before");
    chmodSync(path, 0o644);
    const before = statSync(path).ino;
    writePage(path, "page");
    assert.equal(readFileSync(path, "utf8"), "page");
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.notEqual(statSync(path).ino, before, "who reads the old one must have it whole");
  });

  it("takes the place of a link, and does not follow it", () => {
    const path = join(directory, "a.html");
    const victim = join(directory, "victim");
    writeFileSync(victim, "precious");
    for (const target of [victim, join(directory, "nowhere"), "/dev/null", path]) {
      rmSync(path, { force: true });
      symlinkSync(target, path);
      writePage(path, "page");
      assert.ok(lstatSync(path).isFile(), target);
      assert.equal(statSync(path).mode & 0o777, 0o600, target);
    }
    assert.equal(readFileSync(victim, "utf8"), "precious");
    assert.deepEqual(readdirSync(directory).toSorted(), ["a.html", "victim"]);
  });

  it("does not write into a file that has a second name", () => {
    const path = join(directory, "a.html");
    const victim = join(directory, "victim");
    writeFileSync(victim, "precious");
    chmodSync(victim, 0o666);
    linkSync(victim, path);
    writePage(path, "page");
    assert.equal(readFileSync(victim, "utf8"), "precious");
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it("refuses a directory, and says where there is none", () => {
    mkdirSync(join(directory, "a.html"));
    assert.throws(
      () => writePage(join(directory, "a.html"), "page"),
      isFailure(/is there already, and is not a regular/),
    );
    assert.throws(() => writePage(join(directory, "no/a.html"), "page"), isFailure(/no\/a\.html": ENOENT$/));
    assert.deepEqual(readdirSync(directory), ["a.html"]);
  });

  it("writes to /dev/null and the like as they are", () => {
    writePage("/dev/null", "page");
    assert.ok(lstatSync("/dev/null").isCharacterDevice());
  });
});

function isFailure(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof JacamarError && error.code === "report_failed" && pattern.test(error.message);
}
