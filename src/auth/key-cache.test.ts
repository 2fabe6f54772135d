import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { type CachedKeys, KeyCache, keyCacheDirectory } from "./key-cache.ts";
import { signingKeys } from "./key-set.ts";
import { privateDirectory } from "./testing/private-directory.ts";
import { makeTokenKey } from "./testing/token-keys.ts";

const server = "https://gitlab.example.com";
const notRoot = process.getuid?.() !== 0 && "only root can make files of another owner";
const stranger = 65534;
const key = makeTokenKey();
const cached: CachedKeys = {
  fetchedAt: 1_000_000,
  attempt: { startedAt: 999_000, endedAt: 1_000_000, outcome: "done", why: "" },
  keys: signingKeys({ keys: [key.jwk] }) ?? [],
};
assert.equal(cached.keys.length, 1);

const root = privateDirectory();
let count = 0;
/** A cache with keys in it, and the paths of its directory and file. */
function filled(): { cache: KeyCache; above: string; directory: string; file: string } {
  count += 1;
  const above = join(root, `${count}`);
  const directory = join(above, "cache/jacamar");
  const cache = new KeyCache(directory, server);
  assert.equal(cache.write(cached), undefined);
  const [name = ""] = readdirSync(directory);
  assert.deepEqual(cache.read(), cached);
  return { cache, above, directory, file: join(directory, name) };
}

/** Nothing is read, and what is written does not make it worse. */
function distrusts(cache: KeyCache, why: RegExp): void {
  const read = cache.read();
  assert.ok("why" in read, "the cache was trusted");
  assert.match(read.why ?? "", why);
}

const mode = (path: string) => statSync(path).mode & 0o7777;

describe("KeyCache", () => {
  test("gives back what was written, closed to everybody else", () => {
    const { above, directory, file } = filled();
    for (const path of [above, join(above, "cache"), directory]) assert.equal(mode(path), 0o700);
    assert.equal(mode(file), 0o600);
    assert.deepEqual(readdirSync(directory).length, 1, "a temporary file was left");
  });

  test("keeps the mode whatever the umask is", () => {
    const before = process.umask(0);
    try {
      const { directory, file } = filled();
      assert.deepEqual([mode(directory), mode(file)], [0o700, 0o600]);
    } finally {
      process.umask(before);
    }
  });

  test("has nothing, for no reason, where nothing was written", () => {
    assert.deepEqual(new KeyCache(join(root, "new"), server).read(), { why: undefined });
  });

  test("keeps servers apart", () => {
    const { cache, directory, file } = filled();
    const other = new KeyCache(directory, "https://other.example.com/../x\0");
    assert.deepEqual(other.read(), { why: undefined });
    assert.equal(other.write({ ...cached, keys: [] }), undefined);
    assert.deepEqual(cache.read(), cached);
    // Also when a file of one is put in the other's place.
    const names = readdirSync(directory).map((name) => join(directory, name));
    const otherFile = names.find((path) => path !== file) ?? "";
    writeFileSync(otherFile, readFileSync(file));
    distrusts(other, /is damaged/);
  });

  test("takes the longest address for a name", () => {
    const cache = new KeyCache(join(root, "long"), `https://${"ü".repeat(2000)}.example.com`);
    assert.equal(cache.write(cached), undefined);
    assert.deepEqual(cache.read(), cached);
  });

  const damaged: readonly (readonly [what: string, text: string | ((text: string) => string)])[] = [
    ["an empty file", ""],
    ["no JSON", "<html>"],
    ["null", "null"],
    ["half of it", (text) => text.slice(0, text.length / 2)],
    ["another version", (text) => text.replace('"version":1', '"version":2')],
    ["a time that is a text", (text) => text.replace('"fetchedAt":1000000', '"fetchedAt":"1000000"')],
    ["a time that is no number", (text) => text.replace('"fetchedAt":1000000', '"fetchedAt":1e999')],
    ["keys that are no list", (text) => text.replace(/"keys":\[.*\]/, '"keys":{}')],
    ["no attempt", (text) => text.replace('"attempt"', '"x"')],
  ];
  for (const [what, change] of damaged) {
    test(`takes ${what} for no cache, and writes it anew`, () => {
      const { cache, file } = filled();
      const before = readFileSync(file, "utf8");
      const text = typeof change === "string" ? change : change(before);
      assert.notEqual(text, before);
      writeFileSync(file, text);
      distrusts(cache, /is damaged$/);
      assert.equal(cache.write(cached), undefined);
      assert.deepEqual(cache.read(), cached);
    });
  }

  test("drops cached keys that would not be taken from the server", () => {
    const { cache, file } = filled();
    writeFileSync(file, readFileSync(file, "utf8").replace('"e":"AQAB"', '"e":"AQ"'));
    assert.deepEqual(cache.read(), { ...cached, keys: [] });
  });

  test("does not read a huge file", () => {
    const { cache, file } = filled();
    ftruncateSync(openSync(file, "r+"), 2 ** 40);
    distrusts(cache, /is too large/);
  });

  test("reads no file that others can read or write, and writes it anew", () => {
    for (const open of [0o604, 0o602, 0o640, 0o620, 0o666]) {
      const { cache, file } = filled();
      chmodSync(file, open);
      distrusts(cache, /is open to others/);
      assert.equal(cache.write(cached), undefined);
      assert.equal(mode(file), 0o600);
    }
  });

  test("reads no file of somebody else's, and writes it anew", { skip: notRoot }, () => {
    const { cache, file } = filled();
    chownSync(file, stranger, stranger);
    distrusts(cache, /belongs to the account number 65534/);
    assert.equal(cache.write(cached), undefined);
    assert.deepEqual([statSync(file).uid, cache.read()], [0, cached]);
  });

  test("follows no link to a file, and writes through none", () => {
    const { cache, above, file } = filled();
    const target = join(above, "target");
    writeFileSync(target, readFileSync(file), { mode: 0o600 });
    rmSync(file);
    symlinkSync(target, file);
    distrusts(cache, /cannot be opened: ELOOP/);
    assert.equal(cache.write({ ...cached, keys: [] }), undefined);
    assert.match(readFileSync(target, "utf8"), /AQAB/);
  });

  test("leaves a file with two names as it is under the other", () => {
    const { cache, above, file } = filled();
    linkSync(file, join(above, "second"));
    assert.equal(cache.write({ ...cached, keys: [] }), undefined);
    assert.match(readFileSync(join(above, "second"), "utf8"), /AQAB/);
  });

  test("is not stopped by a directory or a pipe in its place", { timeout: 60_000 }, async () => {
    const { cache, file } = filled();
    rmSync(file);
    mkdirSync(file, { mode: 0o700 });
    distrusts(cache, /is not a regular file/);
    assert.match(cache.write(cached) ?? "", /cannot be written: EISDIR/);
    rmSync(file, { recursive: true });
    await capture(
      { argv: ["/usr/bin/mkfifo", "-m", "600", file], environment: {}, workingDirectory: "/" },
      { timeoutSeconds: 5 },
    );
    distrusts(cache, /is not a regular file/);
    assert.equal(cache.write(cached), undefined);
  });

  test("uses no directory that others can look into", () => {
    for (const open of [0o755, 0o750, 0o701, 0o770, 0o1777]) {
      const { cache, directory, file } = filled();
      chmodSync(directory, open);
      distrusts(cache, /jacamar" is open to others/);
      rmSync(file);
      assert.match(cache.write(cached) ?? "", /is open to others/);
      assert.deepEqual(readdirSync(directory), []);
    }
  });

  test("uses no directory below one that others can write to", () => {
    for (const open of [0o775, 0o757, 0o1777]) {
      const { cache, above } = filled();
      chmodSync(above, open);
      distrusts(cache, /is open to others/);
      assert.match(cache.write(cached) ?? "", /is open to others/);
    }
    const { cache, above } = filled();
    chmodSync(above, 0o755);
    assert.deepEqual(cache.read(), cached);
  });

  test("uses no directory of somebody else's, nor one below it", { skip: notRoot }, () => {
    for (const part of ["", "cache", "cache/jacamar"]) {
      const { cache, above } = filled();
      chownSync(join(above, part), stranger, stranger);
      distrusts(cache, /belongs to the account number 65534/);
      assert.match(cache.write(cached) ?? "", /belongs to/);
    }
  });

  test("uses no link as its directory", () => {
    const { above, directory } = filled();
    const link = join(above, "link");
    symlinkSync(directory, link);
    distrusts(new KeyCache(link, server), /is a symbolic link/);
  });

  test("follows a link on the way only to where it would go without one", () => {
    const { above } = filled();
    const { above: other } = filled();
    symlinkSync(`../${count - 1}/./cache/../cache`, join(other, "way"));
    symlinkSync(join(above, "cache"), join(other, "absolute"));
    assert.deepEqual(new KeyCache(join(other, "way/jacamar"), server).read(), cached);
    assert.deepEqual(new KeyCache(join(other, "absolute/jacamar"), server).read(), cached);
    chmodSync(above, 0o777);
    distrusts(new KeyCache(join(other, "way/jacamar"), server), /is open to others/);
    distrusts(new KeyCache(join(other, "absolute/jacamar"), server), /is open to others/);
    symlinkSync("circle", join(other, "circle"));
    distrusts(new KeyCache(join(other, "circle/jacamar"), server), /is a symbolic link/);
  });

  test("follows no link of somebody else's", { skip: notRoot }, () => {
    const { above } = filled();
    symlinkSync("cache", join(above, "way"));
    lchownSync(join(above, "way"), stranger, stranger);
    distrusts(new KeyCache(join(above, "way/jacamar"), server), /belongs to the account number 65534/);
  });

  test("says why it cannot be made", () => {
    assert.match(new KeyCache("/proc/jacamar", server).write(cached) ?? "", /cannot be used: ENOENT/);
    const { file } = filled();
    distrusts(new KeyCache(join(file, "x"), server), /is not a directory/);
  });

  test("is whole at every moment while many write", async () => {
    const { cache, directory } = filled();
    const script = `
      import { KeyCache } from ${JSON.stringify(join(import.meta.dirname, "key-cache.ts"))};
      const cache = new KeyCache(${JSON.stringify(directory)}, ${JSON.stringify(server)});
      const cached = ${JSON.stringify(cached)};
      for (let round = 0; round < 300; round += 1) {
        const why = cache.write({ ...cached, fetchedAt: round });
        const read = cache.read();
        if (why !== undefined || !("keys" in read) || read.keys.length !== 1) throw new Error(why ?? read.why);
      }`;
    const argv = [process.execPath, "--input-type=module", "--eval", script] as const;
    const writers = [1, 2, 3].map(() =>
      capture({ argv: [...argv], environment: {}, workingDirectory: "/" }, { timeoutSeconds: 60 }),
    );
    for (const writer of await Promise.all(writers))
      assert.deepEqual(writer, { ending: { exitCode: 0 }, stdout: "", stderr: "" });
    assert.ok("keys" in cache.read());
    assert.equal(readdirSync(directory).length, 1);
  });
});

test("keyCacheDirectory() believes the account's entry, not the environment", () => {
  const account = { name: "ci", uid: 990, gid: 990, home: "/var/lib/ci/", shell: "/bin/sh" };
  assert.equal(keyCacheDirectory(account), "/var/lib/ci/.cache/jacamar");
  assert.equal(keyCacheDirectory({ ...account, uid: 0, home: "/root" }), "/var/cache/jacamar");
});
