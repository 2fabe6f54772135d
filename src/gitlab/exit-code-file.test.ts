import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { ExitCodeFile } from "./exit-code-file.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-code-"));
after(() => rmSync(directory, { recursive: true }));

describe("ExitCodeFile", () => {
  test("leaves the code on one line, with nothing before or after it", () => {
    const path = join(directory, "new");
    new ExitCodeFile(path).write(137);
    assert.equal(readFileSync(path, "utf8"), "137\n");
    assert.equal(statSync(path).mode & 0o077, 0);
  });

  test("takes away what an earlier stage left, at once", () => {
    const path = join(directory, "stale");
    writeFileSync(path, "255\nmore\n");
    const file = new ExitCodeFile(path);
    assert.equal(readFileSync(path, "utf8"), "");
    file.write(3);
    assert.equal(readFileSync(path, "utf8"), "3\n");
  });

  test("does not write through a symbolic link", () => {
    const target = join(directory, "target");
    writeFileSync(target, "precious");
    symlinkSync(target, join(directory, "link"));
    assert.throws(() => new ExitCodeFile(join(directory, "link")), { code: "runner_contract", message: /ELOOP/ });
    symlinkSync(join(directory, "nothing"), join(directory, "dangling"));
    assert.throws(() => new ExitCodeFile(join(directory, "dangling")), { code: "runner_contract" });
    assert.equal(readFileSync(target, "utf8"), "precious");
    assert.ok(!existsSync(join(directory, "nothing")));
  });

  test("does not wait for the reader of a named pipe", { timeout: 60_000 }, async () => {
    const path = join(directory, "pipe");
    await capture({ argv: ["/usr/bin/mkfifo", path], environment: {}, workingDirectory: "/" }, { timeoutSeconds: 5 });
    assert.throws(() => new ExitCodeFile(path), { code: "runner_contract", message: /ENXIO/ });
  });

  test("says which file cannot be made", () => {
    assert.throws(() => new ExitCodeFile(join(directory, "no/such/file")), {
      code: "runner_contract",
      message: /no\/such\/file": ENOENT/,
    });
  });

  test("says when the disk is full", { skip: !existsSync("/dev/full") && "there is no /dev/full" }, () => {
    assert.throws(() => new ExitCodeFile("/dev/full").write(1), { code: "runner_contract", message: /ENOSPC|EINVAL/ });
  });

  test("does nothing for a runner that offers no file", () => {
    new ExitCodeFile(undefined).write(1);
  });
});
