import assert from "node:assert/strict";
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { makeFifos } from "../process/fifo.ts";
import { readEndOfFile, readSmallFile } from "./small-file.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-small-"));
after(() => rmSync(directory, { recursive: true }));
const notRoot = process.getuid?.() !== 0 && "only root can make files of another user";

function written(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const readers = { readSmallFile, readEndOfFile };

for (const [name, read] of Object.entries(readers)) {
  describe(`${name}()`, () => {
    test("reads a small file", () => assert.equal(read(written("small", "text\n"), 100), "text\n"));

    test("reads nothing through a link, from a pipe, a directory or a device, and waits for none", async () => {
      const pipes = join(directory, `pipes-${name}`);
      mkdirSync(pipes);
      await makeFifos(pipes, 1);
      const link = join(directory, `link-${name}`);
      symlinkSync(written("target", "text"), link);
      for (const path of [join(pipes, "0"), link, directory, "/dev/zero", join(directory, "none")]) {
        assert.equal(read(path, 100), undefined, path);
      }
    });

    test("reads nothing of another account's", { skip: notRoot }, () => {
      const path = written("foreign", "text");
      chownSync(path, 65534, 65534);
      assert.equal(read(path, 100), undefined);
    });
  });
}

test("readSmallFile() reads nothing of a larger file", () => {
  assert.equal(readSmallFile(written("large", "123456"), 5), undefined);
});

test("readEndOfFile() reads the end of a file that no memory could hold", () => {
  const path = written("huge", "begin");
  truncateSync(path, 2 ** 42);
  appendFileSync(path, "the end");
  assert.equal(readEndOfFile(path, 7), "the end");
});
