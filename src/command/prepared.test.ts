import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { readPrepared, writePrepared } from "./prepared.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-prepared-"));
after(() => rmSync(directory, { recursive: true }));

const paths = {
  base: "/b",
  buildsBase: "/b",
  buildsDir: "/b",
  cacheDir: "/b",
  projectCacheDir: "/b",
  projectDir: "/b",
};
let count = 0;
function place() {
  count += 1;
  const privateDir = join(directory, `${count}`);
  mkdirSync(privateDir);
  return { workspace: { ...paths, scriptsDir: "/b", privateDir }, file: join(privateDir, "prepared.json") };
}

const prepared = {
  environment: { A: "b\nc", PATH: "/bin" },
  runtimeDirectory: "/run/user/1",
  userImage: { id: "f".repeat(64), hasBash: false, user: "app", archive: "oci:/x" },
};
const damaged = { name: "JacamarError", code: "state_missing", message: /prepared\.json/ };

describe("readPrepared()", () => {
  test("reads what writePrepared() wrote, for its owner alone", () => {
    const { workspace, file } = place();
    assert.equal(readPrepared(workspace), undefined);
    writePrepared(workspace, prepared);
    assert.deepEqual(readPrepared(workspace), prepared);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test("reads nothing of what could not be written to its end", async () => {
    const { workspace, file } = place();
    const written = { ...prepared, environment: { LONG: "x".repeat(100_000) } };
    const script = `const { writePrepared } = await import(${JSON.stringify(join(import.meta.dirname, "prepared.ts"))});
      writePrepared(${JSON.stringify(workspace)}, ${JSON.stringify(written)})`;
    writeFileSync(`${file}.test.mjs`, script);
    const line = 'ulimit -c 0 -f 4 && exec "$@"';
    const argv = ["/bin/bash", "-c", line, "-", process.execPath, `${file}.test.mjs`] as const;
    const { ending } = await capture({ argv, environment: {}, workingDirectory: "/" }, { timeoutSeconds: 60 });
    assert.notDeepEqual(ending, { exitCode: 0 });
    assert.equal(readPrepared(workspace), undefined);
  });

  test("refuses what prepare has not written", () => {
    for (const text of ["", "{", "null", "{}", JSON.stringify({ ...prepared, environment: { A: 1 } })]) {
      const { workspace, file } = place();
      writeFileSync(file, text);
      assert.throws(() => readPrepared(workspace), damaged, text);
    }
    const link = place();
    symlinkSync("/etc/passwd", link.file);
    assert.throws(() => readPrepared(link.workspace), damaged);
    const huge = place();
    writeFileSync(huge.file, "{}");
    truncateSync(huge.file, 2 ** 40);
    assert.throws(() => readPrepared(huge.workspace), damaged);
    const tree = place();
    mkdirSync(tree.file);
    assert.throws(() => readPrepared(tree.workspace), damaged);
  });
});
