import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { asUser, startAsUser, testUser } from "../../test/harness/machine.ts";
import { JacamarError } from "../error/error.ts";
import {
  directoryFailed,
  isPrivateDirectory,
  isThere,
  makeDirectory,
  makeDirectoryFor,
  removeTree,
} from "./directories.ts";

const uid = process.getuid?.() ?? 0;
const stranger = 65534;
const notRoot = uid !== 0 && "only root can make directories of another owner";
const rules = { uid, mode: 0o700 } as const;

// The umask of the program (src/main.ts); also: mkdtemp gives 0700, so the way down to each test is clean.
process.umask(0o077);
const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-directories-")));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
/** A new directory of ours. */
function place(): string {
  count += 1;
  return make(join(root, `${count}`));
}

function make(path: string, mode = 0o700, owner = uid): string {
  mkdirSync(path);
  chmodSync(path, mode);
  if (owner !== uid) chownSync(path, owner, owner);
  return path;
}

function link(target: string, path: string, owner = uid): string {
  symlinkSync(target, path);
  if (owner !== uid) lchownSync(path, owner, owner);
  return path;
}

const mode = (path: string) => statSync(path).mode & 0o7777;
const unsafe = (message: RegExp) => ({ name: "JacamarError", code: "directory_unsafe", message });

describe("makeDirectory()", () => {
  test("makes all that is missing, closed to everybody else", () => {
    const base = join(place(), "a", "b", "base");
    makeDirectory(base, `${base}/builds/T/000`, rules);
    for (const path of ["../..", "..", ".", "builds", "builds/T", "builds/T/000"]) {
      assert.equal(mode(join(base, path)), 0o700, path);
    }
    makeDirectory(base, `${base}/builds/T/000`, rules);
    makeDirectory(base, base, rules);
  });

  test("makes them readable for the group where the site wants that", () => {
    const base = join(place(), "base");
    makeDirectory(base, `${base}/builds/T`, { uid, mode: 0o750 });
    for (const path of [".", "builds", "builds/T"]) assert.equal(mode(join(base, path)), 0o750, path);
  });

  test("keeps the last one closed where only that is wanted, or closes it", () => {
    const base = make(join(place(), "base"), 0o750);
    for (const path of [`${base}/builds/T.tmp`, `${base}/builds`, base]) {
      makeDirectory(base, path, { uid, mode: 0o750 }, 0o700);
      assert.equal(mode(path), 0o700, path);
    }
    makeDirectory(base, `${base}/builds/T`, { uid, mode: 0o750 });
    makeDirectory(base, `${base}/builds/T`, { uid, mode: 0o750 }, 0o700);
    assert.deepEqual(
      [".", "builds", "builds/T"].map((path) => mode(join(base, path))),
      [0o750, 0o750, 0o700],
    );
  });

  test("takes names that a shell would not", () => {
    const base = join(place(), "a b'$(id)\n");
    makeDirectory(base, `${base}/ü/-rf/*`, rules);
    assert.ok(existsSync(`${base}/ü/-rf/*`));
  });

  test("refuses to leave the base", () => {
    const base = place();
    for (const path of ["/etc", `${base}x`, `${base}/../x`, `${base}/a/..`]) {
      assert.throws(() => makeDirectory(base, path, rules), { name: "Error" });
    }
    assert.throws(() => makeDirectory(`${base}/../x`, `${base}/../x`, rules), { name: "Error" });
    assert.throws(() => makeDirectory(base, `${base}/a/../../x`, rules), { name: "Error" });
    assert.deepEqual(readdirSync(base), []);
  });

  test("tightens a directory of ours that all can read", () => {
    const base = make(join(place(), "base"), 0o755);
    make(`${base}/builds`, 0o755);
    make(`${base}/builds/T`, 0o711);
    makeDirectory(base, `${base}/builds/T/000`, rules);
    for (const path of [base, `${base}/builds`, `${base}/builds/T`]) assert.equal(mode(path), 0o700, path);
  });

  for (const bad of [0o770, 0o720, 0o702, 0o777, 0o1777]) {
    test(`refuses a directory of ours with mode 0${bad.toString(8)}, at each level`, () => {
      for (const path of [".", "builds", "builds/T"]) {
        const base = make(join(place(), "base"));
        make(`${base}/builds`);
        make(`${base}/builds/T`);
        const opened = join(base, path);
        chmodSync(opened, bad);
        const message = new RegExp(`"${opened}" can be written by others`);
        assert.throws(() => makeDirectory(base, `${base}/builds/T/000`, rules), unsafe(message));
        assert.equal(mode(opened), bad, "what may be in it must be looked at before it is closed");
        assert.ok(!existsSync(`${base}/builds/T/000`));
      }
    });
  }

  test("refuses a directory of somebody else, at each level", { skip: notRoot }, () => {
    for (const path of [".", "builds", "builds/T"]) {
      const base = make(join(place(), "base"));
      make(`${base}/builds`);
      make(`${base}/builds/T`);
      chownSync(join(base, path), stranger, stranger);
      assert.throws(
        () => makeDirectory(base, `${base}/builds/T/000`, rules),
        unsafe(/belongs to the account number 65534/),
      );
    }
  });

  test("refuses a directory of root's for another user", { skip: notRoot }, () => {
    const base = make(join(place(), "base"));
    const theirs = { uid: stranger, mode: 0o700 } as const;
    assert.throws(() => makeDirectory(base, base, theirs), unsafe(/belongs to the account number 0, not to you/));
  });

  test("refuses a way through a directory of a third user", { skip: notRoot }, () => {
    const above = make(join(place(), "above"), 0o755, stranger);
    assert.throws(
      () => makeDirectory(`${above}/base`, `${above}/base`, rules),
      unsafe(/belongs to the account number 65534, who could exchange "base"/),
    );
  });

  test("refuses a way through a directory that others can write to, unless it is sticky", () => {
    for (const bad of [0o777, 0o773, 0o775, 0o722]) {
      const above = make(join(place(), "above"), bad);
      assert.throws(
        () => makeDirectory(`${above}/base`, `${above}/base`, rules),
        unsafe(/"base" in it could be exchanged/),
      );
      assert.deepEqual(readdirSync(above), []);
      chmodSync(above, bad | 0o1000);
      makeDirectory(`${above}/base`, `${above}/base`, rules);
    }
  });

  test("refuses what a stranger has put into a sticky directory", { skip: notRoot }, () => {
    const above = make(join(place(), "above"), 0o1777);
    make(`${above}/theirs`, 0o777, stranger);
    assert.throws(() => makeDirectory(`${above}/theirs`, `${above}/theirs`, rules), unsafe(/belongs to/));
    assert.throws(() => makeDirectory(`${above}/theirs/x`, `${above}/theirs/x`, rules), unsafe(/theirs"/));
    link(place(), `${above}/link`, stranger);
    for (const base of [`${above}/link`, `${above}/link/x`]) {
      assert.throws(() => makeDirectory(base, base, rules), unsafe(/link" is a symbolic link of somebody else's/));
    }
  });

  test("refuses somebody else's link also where it leads to something good", { skip: notRoot }, () => {
    const base = make(join(place(), "base"));
    link(place(), `${base}/builds`, stranger);
    assert.throws(() => makeDirectory(base, `${base}/builds/T`, rules), unsafe(/somebody else's/));
  });

  test("follows our own links above the base, as the base, and right below it", () => {
    const at = place();
    const disk = make(join(at, "disk"));
    make(join(disk, "builds"));
    make(join(disk, "base"));
    link(disk, join(at, "absolute"));
    link("./absolute/../disk/.", join(at, "relative"));
    link("../disk/base", join(make(join(at, "up")), "base"));
    for (const base of [join(at, "absolute/base"), join(at, "relative/base"), join(at, "up/base")]) {
      makeDirectory(base, `${base}/cache/x`, rules);
    }
    assert.ok(existsSync(`${disk}/base/cache/x`));
    link(join(disk, "builds"), join(disk, "base/builds"));
    makeDirectory(join(disk, "base"), join(disk, "base/builds/T/000"), rules);
    assert.ok(existsSync(`${disk}/builds/T/000`));
  });

  test("accepts a link of root's", { skip: notRoot }, () => {
    const at = place();
    for (const above of [root, at]) chmodSync(above, 0o755);
    make(join(at, "disk"), 0o700, stranger);
    link(join(at, "disk"), join(at, "base"));
    makeDirectory(join(at, "base"), join(at, "base"), { uid: stranger, mode: 0o700 });
    chmodSync(root, 0o700);
  });

  test("does not change the mode of what a link leads to: it refuses it", () => {
    const at = place();
    for (const bad of [0o755, 0o750, 0o711]) {
      const target = make(join(at, `target-${bad}`), bad);
      const base = make(join(at, `base-${bad}`));
      link(target, `${base}/builds`);
      const refused = unsafe(/has mode 0[0-9]+ instead of 0700, and a symbolic link leads to it/);
      assert.throws(() => makeDirectory(base, `${base}/builds/T`, rules), refused);
      link(target, join(at, `link-${bad}`));
      assert.throws(() => makeDirectory(join(at, `link-${bad}`), join(at, `link-${bad}`), rules), refused);
      assert.equal(mode(target), bad);
    }
    const closed = make(join(at, "closed"));
    link(closed, join(at, "group"));
    makeDirectory(join(at, "group"), join(at, "group"), { uid, mode: 0o750 });
    assert.equal(mode(closed), 0o700);
  });

  test("refuses a link to somebody else's directory", { skip: notRoot }, () => {
    const base = make(join(place(), "base"));
    link(make(join(place(), "theirs"), 0o700, stranger), `${base}/builds`);
    assert.throws(() => makeDirectory(base, `${base}/builds/T`, rules), unsafe(/belongs to the account number 65534/));
  });

  test("refuses a link that leads through a directory where it could be exchanged", () => {
    const open = make(join(place(), "open"), 0o777);
    const target = make(join(open, "target"));
    const base = make(join(place(), "base"));
    link(target, `${base}/builds`);
    assert.throws(() => makeDirectory(base, `${base}/builds/T`, rules), unsafe(/"target" in it could be exchanged/));
  });

  test("follows no link deeper below the base, not even our own", () => {
    const base = make(join(place(), "base"));
    const elsewhere = place();
    make(`${base}/builds`);
    link(elsewhere, `${base}/builds/T`);
    assert.throws(() => makeDirectory(base, `${base}/builds/T/000`, rules), unsafe(/builds\/T" is not a directory/));
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test("does not make what a link leads to", () => {
    const base = make(join(place(), "base"));
    link(join(base, "nothing"), `${base}/builds`);
    assert.throws(() => makeDirectory(base, `${base}/builds`, rules), {
      code: "directory_failed",
      message: /nothing": ENOENT/,
    });
    assert.ok(!existsSync(`${base}/nothing`));
  });

  test("refuses links that lead in a circle, and says so", () => {
    const at = place();
    link("two", join(at, "one"));
    link("one", join(at, "two"));
    link("self/x/self", join(at, "self"));
    link(".", join(at, "here"));
    for (const name of ["one", "self"]) {
      const base = join(at, name);
      assert.throws(() => makeDirectory(base, base, rules), unsafe(/too many symbolic links/));
    }
    const long = join(at, ...Array<string>(50).fill("here"), "base");
    assert.throws(() => makeDirectory(long, long, rules), unsafe(/too many symbolic links/));
    const short = join(at, ...Array<string>(40).fill("here"), "base");
    makeDirectory(short, short, rules);
  });

  test("refuses a file, a pipe or a socket in the place of a directory", () => {
    const base = make(join(place(), "base"));
    writeFileSync(`${base}/builds`, "");
    assert.throws(() => makeDirectory(base, `${base}/builds`, rules), unsafe(/builds" is not a directory/));
    assert.throws(() => makeDirectory(base, `${base}/builds/T`, rules), unsafe(/builds" is not a directory/));
    assert.throws(
      () => makeDirectory(`${base}/builds`, `${base}/builds/T`, rules),
      unsafe(/builds" is not a directory/),
    );
  });

  test("says which name is too long", () => {
    const base = place();
    const path = `${base}/${"x".repeat(256)}`;
    const tooLong = { name: "JacamarError", code: "directory_failed", message: /xxx": ENAMETOOLONG/ };
    assert.throws(() => makeDirectory(base, path, rules), tooLong);
    assert.throws(() => makeDirectory(path, path, rules), tooLong);
  });

  test("says which directory an ordinary user cannot enter or write to", async () => {
    const at = place();
    for (const above of [root, at]) chmodSync(above, 0o755);
    const user = testUser();
    const closed = make(join(at, "closed"), uid === 0 ? 0o700 : 0o000);
    const fixed = make(join(at, "fixed"), 0o555);
    const program = `
      import { makeDirectory } from ${JSON.stringify(join(import.meta.dirname, "directories.ts"))};
      for (const base of process.argv.slice(1)) {
        try { makeDirectory(base, base, { uid: process.getuid(), mode: 0o700 }); console.log("made"); }
        catch (error) { console.log(error.code, error.message); }
      }`;
    const node = [process.execPath, "--input-type=module", "-e", program, "--"];
    const ended = await asUser(user, [...node, `${closed}/base`, `${closed}/a/base`, `${fixed}/base`]);
    for (const path of [root, closed, fixed]) chmodSync(path, 0o700);
    assert.deepEqual(ended.stdout.split("\n"), [
      `directory_failed Cannot make "${closed}/base": EACCES`,
      `directory_failed Cannot make "${closed}/a": EACCES`,
      `directory_failed Cannot make "${fixed}/base": EACCES`,
      "",
    ]);
  });

  test("leaves no descriptor open, however it ends", () => {
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    const base = make(join(place(), "base"));
    link("builds", `${base}/builds`);
    link("/", `${base}/root`);
    for (let round = 0; round < 50; round += 1) {
      makeDirectory(base, `${base}/a/b/c`, rules);
      assert.throws(() => makeDirectory(base, `${base}/builds/x`, rules));
      assert.throws(() => makeDirectory(`${base}/root/proc/x`, `${base}/root/proc/x`, rules));
      isThere(base, `${base}/a/nothing/c`, rules);
    }
    assert.equal(open(), before);
  });

  test("never follows a link that another process swaps in while it walks", { timeout: 60_000 }, async () => {
    const at = place();
    const base = make(join(at, "base"));
    const outside = make(join(at, "outside"));
    make(`${base}/builds`);
    make(`${base}/builds/a`);
    const swapper = `
      const { mkdirSync, rmSync, symlinkSync, unlinkSync } = require("node:fs");
      const [, path, outside] = process.argv;
      const attempt = (work) => { try { work(); } catch {} };
      console.log("ready");
      for (;;) {
        attempt(() => rmSync(path, { recursive: true }));
        attempt(() => symlinkSync(outside, path));
        attempt(() => unlinkSync(path));
        attempt(() => mkdirSync(path));
      }`;
    const self = { name: "", uid, gid: process.getgid?.() ?? 0, home: at };
    const other = startAsUser(self, [process.execPath, "-e", swapper, "--", `${base}/builds/a`, outside]);
    await other.until("ready");
    const seen = { made: 0, refused: 0 };
    const end = performance.now() + 20_000;
    try {
      for (let round = 0; round < 1000 || (seen.refused < 20 && performance.now() < end); round += 1) {
        try {
          makeDirectory(base, `${base}/builds/a/b`, rules);
          seen.made += 1;
        } catch (error) {
          assert.ok(error instanceof JacamarError, String(error));
          seen.refused += 1;
        }
      }
    } finally {
      other.killGroup("SIGKILL");
      await other.done;
    }
    assert.deepEqual(readdirSync(outside), []);
    assert.ok(seen.made > 0 && seen.refused >= 20, `the other process did not come between: ${JSON.stringify(seen)}`);
  });
});

describe("isThere()", () => {
  test("sees what is there and what is not, and makes nothing", () => {
    const base = make(join(place(), "base"));
    make(`${base}/scripts`);
    make(`${base}/scripts/1`);
    symlinkSync("/nothing", `${base}/scripts/dangling`);
    for (const path of [base, `${base}/scripts`, `${base}/scripts/1`, `${base}/scripts/dangling`]) {
      assert.ok(isThere(base, path, rules), path);
    }
    for (const path of ["x", "x/y/z", "scripts/2", "scripts/1/2"])
      assert.ok(!isThere(base, `${base}/${path}`, rules), path);
    assert.ok(!isThere(`${base}/no/base`, `${base}/no/base/x`, rules));
    assert.deepEqual(readdirSync(base), ["scripts"]);
  });

  test("goes through the user's link to builds, also one that leads nowhere", () => {
    const base = make(join(place(), "base"));
    const disk = place();
    make(`${disk}/T`);
    link(disk, `${base}/builds`);
    link("gone", `${base}/cache`);
    assert.ok(isThere(base, `${base}/builds/T`, rules));
    assert.ok(!isThere(base, `${base}/cache/x`, rules));
  });

  test("refuses a way through a link that the job has made", () => {
    const base = make(join(place(), "base"));
    const precious = place();
    make(`${precious}/project.tmp`);
    make(`${base}/builds`);
    link(precious, `${base}/builds/group`);
    const path = `${base}/builds/group/project.tmp`;
    assert.throws(() => isThere(base, path, rules), unsafe(/builds\/group" is not a directory/));
  });

  test("takes a directory that the job has opened or given away for what it is", { skip: notRoot }, () => {
    const base = make(join(place(), "base"));
    make(`${base}/builds`);
    make(`${base}/builds/group`, 0o777, stranger);
    make(`${base}/builds/group/project.tmp`);
    assert.ok(isThere(base, `${base}/builds/group/project.tmp`, rules));
  });

  test("refuses a way that somebody else can bend", { skip: notRoot }, () => {
    const above = make(join(place(), "above"), 0o1777);
    link(place(), `${above}/base`, stranger);
    assert.throws(() => isThere(`${above}/base`, `${above}/base/x`, rules), unsafe(/somebody else's/));
  });
});

describe("makeDirectoryFor()", { skip: notRoot }, () => {
  const owner = { uid: stranger, gid: stranger };

  test("makes the user's directory, closed to everybody else, and takes it when it is there", () => {
    const path = join(place(), "theirs");
    for (let round = 0; round < 2; round += 1) {
      makeDirectoryFor(path, owner);
      const { uid, gid, mode } = statSync(path);
      assert.deepEqual([uid, gid, mode & 0o7777], [stranger, stranger, 0o700]);
    }
  });

  test("makes nothing else, and gives away nothing that it has not made", () => {
    const at = place();
    assert.throws(() => makeDirectoryFor(join(at, "no/theirs"), owner), { code: "directory_failed" });
    writeFileSync(join(at, "file"), "");
    make(join(at, "root's"));
    symlinkSync(make(join(at, "target")), join(at, "link"));
    for (const name of ["file", "root's", "link"]) {
      assert.throws(
        () => makeDirectoryFor(join(at, name), owner),
        unsafe(/is not a directory of the account number 65534/),
      );
      assert.equal(lstatSync(join(at, name)).uid, 0, name);
    }
    assert.equal(statSync(join(at, "target")).uid, 0);
    make(join(at, "open"), 0o770, stranger);
    assert.throws(() => makeDirectoryFor(join(at, "open"), owner), unsafe(/closed to others/));
  });

  test("refuses a way that the user or anybody else could bend", () => {
    const theirs = make(join(place(), "theirs"), 0o700, stranger);
    assert.throws(() => makeDirectoryFor(join(theirs, "x"), owner), unsafe(/could exchange/));
    const open = make(join(place(), "open"), 0o777);
    assert.throws(() => makeDirectoryFor(join(open, "x"), owner), unsafe(/could be exchanged/));
    const sticky = make(join(place(), "sticky"), 0o1777);
    link(place(), join(sticky, "link"), stranger);
    assert.throws(() => makeDirectoryFor(join(sticky, "link/x"), owner), unsafe(/somebody else's/));
  });
});

describe("removeTree()", () => {
  test("removes a tree with all that is in it, and follows no link in it", () => {
    const precious = place();
    writeFileSync(`${precious}/file`, "");
    const tree = make(join(place(), "tree"));
    make(`${tree}/read-only`);
    writeFileSync(`${tree}/read-only/x`, "");
    chmodSync(`${tree}/read-only`, 0o500);
    symlinkSync(precious, `${tree}/link`);
    symlinkSync("/nothing", `${tree}/dangling`);
    if (uid !== 0) chmodSync(`${tree}/read-only`, 0o700);
    assert.equal(removeTree(tree), undefined);
    assert.ok(!existsSync(tree));
    assert.deepEqual(readdirSync(precious), ["file"]);
  });

  test("removes a link, not what it leads to", () => {
    const precious = place();
    const path = join(place(), "link");
    symlinkSync(precious, path);
    assert.equal(removeTree(path), undefined);
    assert.ok(existsSync(precious));
    assert.throws(() => readlinkSync(path));
  });

  test("is content when there is nothing", () => assert.equal(removeTree(join(root, "nothing/at/all")), undefined));

  test("returns what hindered it", () => {
    assert.ok(removeTree("/proc/self/status") instanceof Error);
  });
});

describe("isPrivateDirectory()", () => {
  test("takes a directory of the account's with mode 0700, and nothing else", () => {
    const at = place();
    const good = make(join(at, "good"));
    assert.ok(isPrivateDirectory(good, uid));
    assert.ok(!isPrivateDirectory(good, uid + 1));
    assert.ok(!isPrivateDirectory(link(good, join(at, "link")), uid));
    assert.ok(!isPrivateDirectory(make(join(at, "open"), 0o755), uid));
    assert.ok(!isPrivateDirectory(make(join(at, "group"), 0o770), uid));
    writeFileSync(join(at, "file"), "", { mode: 0o700 });
    assert.ok(!isPrivateDirectory(join(at, "file"), uid));
    assert.ok(!isPrivateDirectory(join(at, "nothing"), uid));
    assert.ok(lstatSync(good).isDirectory());
  });
});

describe("directoryFailed()", () => {
  for (const [code, expected, message] of [
    ["ENOSPC", "disk_full", /file system is full/],
    ["EDQUOT", "disk_full", /your quota is used up/],
    ["EACCES", "directory_failed", /Cannot make "\/x": EACCES/],
    ["EROFS", "directory_failed", /EROFS/],
    [undefined, "directory_failed", /unknown error/],
  ] as const) {
    test(`says what ${code} means`, () => {
      const error = directoryFailed("/x", code);
      assert.equal(error.code, expected);
      assert.match(error.message, message);
      assert.ok(error.hint);
    });
  }
});
