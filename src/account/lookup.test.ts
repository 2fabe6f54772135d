import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostileNames } from "./testing/hostile-names.ts";
import { capture } from "../process/capture.ts";
import { accountNumbered, groupsOf, lookUpAccount } from "./lookup.ts";

const notRoot = process.getuid?.() !== 0 && "only root can make accounts and mount files";
const directory = mkdtempSync(join(tmpdir(), "jacamar-lookup-"));
after(() => rmSync(directory, { recursive: true }));

/** Runs a program and gives what it wrote. */
async function run(program: string, ...args: string[]): Promise<string> {
  const environment = { PATH: "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", LC_ALL: "C.UTF-8" };
  const command = { argv: [program, ...args], environment, workingDirectory: "/" } as const;
  const { ending, stdout, stderr } = await capture(command, { timeoutSeconds: 60 });
  if (!("exitCode" in ending) || ending.exitCode !== 0)
    throw new Error(`${program}: ${JSON.stringify(ending)}: ${stderr}`);
  return stdout;
}

/** Fine when there is nothing to remove. */
async function removeAccounts(): Promise<void> {
  await run("userdel", "--force", "jact-lookup").catch(() => undefined);
  for (const name of ["jact-lookup", "jact-group1", "jact-group2"]) await run("groupdel", name).catch(() => undefined);
}

describe("accounts of this machine", { skip: notRoot }, () => {
  before(async () => {
    await removeAccounts();
    for (const name of ["jact-group1", "jact-group2"]) await run("groupadd", name);
    // A number of its own: of one that is given again, processes of an account that is gone may be left.
    const options = [
      "--uid",
      "64990",
      "--no-create-home",
      "--user-group",
      "--shell",
      "/bin/bash",
      "--comment",
      "A, B; ü",
    ];
    await run("useradd", ...options, "--groups", "jact-group1,jact-group2", "jact-lookup");
  });
  after(removeAccounts);

  test("lookUpAccount() finds an account that useradd made", async () => {
    const answer = await lookUpAccount("jact-lookup");
    assert.ok(answer.found);
    const { account } = answer;
    assert.equal(account.uid, Number(await run("id", "-u", "jact-lookup")));
    assert.equal(account.gid, Number(await run("id", "-g", "jact-lookup")));
    assert.deepEqual(
      { name: account.name, home: account.home, shell: account.shell, gecos: account.gecos },
      { name: "jact-lookup", home: "/home/jact-lookup", shell: "/bin/bash", gecos: "A, B; ü" },
    );
  });

  test("accountNumbered() finds it by its number, and nobody by one that is nobody's", async () => {
    assert.equal((await accountNumbered(64_990))?.name, "jact-lookup");
    for (const number of [64_989, -1, 1.5, Number.NaN, 0xffff_ffff, 2 ** 40]) {
      assert.equal(await accountNumbered(number), undefined, String(number));
    }
  });

  test("groupsOf() gives all groups, as id(1) does, the account's own first", async () => {
    const answer = await lookUpAccount("jact-lookup");
    assert.ok(answer.found);
    const groups = await groupsOf(answer.account);
    assert.deepEqual(
      groups.map(({ name }) => name),
      ["jact-lookup", "jact-group1", "jact-group2"],
    );
    const ids = (await run("id", "-G", "jact-lookup")).trim().split(" ").map(Number);
    assert.deepEqual(new Set(groups.map(({ gid }) => gid)), new Set(ids));
  });
});

describe("lookUpAccount()", () => {
  test("finds no hostile name, and none that is not there", async () => {
    for (const name of [...hostileNames, "jact-missing"]) {
      const answer = await lookUpAccount(name);
      assert.deepEqual(
        { name, found: answer.found, why: answer.found || answer.why },
        { name, found: false, why: "unknown" },
      );
    }
  });

  test("gives no number for a key: groupsOf() refuses it, too", async () => {
    for (const name of ["0", "-x", "a b", "a:b", "a\nb"]) {
      await assert.rejects(groupsOf({ name, gid: 1 }), { code: "account_unknown" }, name);
    }
  });
});

const probe = join(import.meta.dirname, "testing", "probe.ts");

/** Asks in a mount namespace of its own, in which the files lie over those of the machine. */
async function askWith(files: Readonly<Record<string, string>>, names: readonly string[]): Promise<unknown> {
  const mounts = Object.entries(files).map(([path, text], index) => {
    const file = join(directory, `mounted-${index}`);
    writeFileSync(file, text);
    chmodSync(file, 0o755);
    return `mount --bind ${file} ${path}`;
  });
  // A caching daemon would answer from the machine's own files.
  const script = `${[...ownEtc(files), ...mounts].join("; ")}; exec "$@"`;
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", probe, ...names];
  const results: unknown = JSON.parse(await run("unshare", "--mount", "sh", "-euc", script, "sh", ...node));
  return results;
}

/**
 * Files in /etc are mounted on those of a copy: useradd(8) of another test renames a new /etc/passwd over the old one, which
 * ends a mount on it in every namespace. Its temporary files may be gone before they are copied.
 */
function ownEtc(files: Readonly<Record<string, string>>): string[] {
  if (!Object.keys(files).some((path) => path.startsWith("/etc/"))) return [];
  const copy = join(directory, "etc");
  return [`rm -rf ${copy}`, `cp -a /etc ${copy} 2>/dev/null || true`, `mount --bind ${copy} /etc`];
}

const passwd = readFileSync("/etc/passwd", "utf8");
const group = readFileSync("/etc/group", "utf8");

describe("accounts that useradd does not make", { skip: notRoot }, () => {
  test("an account that shares its number with another, or whose number leads elsewhere, is refused", async () => {
    const more =
      "jact-one:x:64001:64001::/h:/bin/sh\njact-two:x:64001:64001::/h:/bin/sh\njact-root:x:0:0::/root:/bin/sh\n";
    const results = await askWith({ "/etc/passwd": passwd + more }, ["jact-one", "jact-two", "jact-root"]);
    assert.partialDeepStrictEqual(results, {
      "jact-one": { account: { name: "jact-one", uid: 64_001, gid: 64_001, gecos: "", home: "/h", shell: "/bin/sh" } },
      "jact-two": { found: false, why: "other_name" },
      "jact-root": { found: false, why: "other_name" },
    });
  });

  test("groups may have spaces in their names, or no name", async () => {
    const more = "jact-one:x:64001:64001::/h:\n";
    const groups = "domain users:x:64002:jact-one\nodd  :x:64003:jact-one,root\njact-none:x:64004:\n";
    const results = await askWith({ "/etc/passwd": passwd + more, "/etc/group": group + groups }, ["jact-one"]);
    assert.deepEqual(results, {
      "jact-one": {
        account: { name: "jact-one", uid: 64_001, gid: 64_001, gecos: "", home: "/h", shell: "/bin/sh" },
        groups: [{ gid: 64_001 }, { gid: 64_002, name: "domain users" }, { gid: 64_003, name: "odd  " }],
      },
    });
  });

  // What a name service could answer, LDAP's capitals and domains among it.
  const cases: [title: string, getent: string, expected: object][] = [
    ["the name in another case", "echo Alice:x:1001:1001::/h:/bin/sh", { why: "other_name" }],
    [
      "the name in another case, and the name itself for the number",
      "case $3 in alice) echo Alice:x:1001:1001::/h:/bin/sh ;; *) echo alice:x:1001:1001::/h:/bin/sh ;; esac",
      { why: "other_name" },
    ],
    ["the name with its domain", "echo alice@realm:x:1001:1001::/h:/bin/sh", { why: "other_name" }],
    ["nothing, and 2", "exit 2", { why: "unknown" }],
    ["nothing, and 0", "exit 0", { thrown: "account_unknown" }],
    ["an entry, and 2", "echo alice:x:1001:1001::/h:/bin/sh; exit 2", { thrown: "account_unknown" }],
    ["an error", "exit 1", { thrown: "account_unknown" }],
    ["two entries", "echo alice:x:1001:1001::/h:/bin/sh; echo alice:x:0:0::/h:/bin/sh", { thrown: "account_unknown" }],
    ["six fields", "echo alice:x:1001:1001::/h", { thrown: "account_unknown" }],
    ["eight fields", "echo alice:x:1001:1001::/h:/bin/sh:", { thrown: "account_unknown" }],
    ["a number with a sign", "echo alice:x:+1001:1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["an octal number", "echo alice:x:01001:1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["the number -1", "echo alice:x:4294967295:1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["a number of 33 bits", "echo alice:x:4294967296:1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["no number", "echo alice:x::1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["half a line", "printf alice:x:1001:1001::/h:/bin/sh", { thrown: "account_unknown" }],
    ["a home that is no text", "printf 'alice:x:1001:1001::/h\\377:/bin/sh\\n'", { thrown: "account_unknown" }],
    ["9 MB", "head -c 9000000 /dev/zero | tr '\\0' a; echo", { thrown: "account_unknown" }],
    ["nothing, for ever", "sleep 60", { thrown: "account_unknown" }],
    ["for ever", "yes", { thrown: "account_unknown" }],
    ["no groups", "case $1 in passwd) echo alice:x:1001:1001::/h:/bin/sh ;; esac", { thrown: "account_unknown" }],
    [
      "groups that nobody asked for",
      'case $1 in passwd) echo alice:x:1001:1001::/h:/bin/sh ;; initgroups) echo "alice 5" ;; *) echo g:x:6: ;; esac',
      { thrown: "account_unknown" },
    ],
    [
      "somebody else's groups",
      'case $1 in passwd) echo alice:x:1001:1001::/h:/bin/sh ;; initgroups) echo "bob 5" ;; *) echo g:x:5: ;; esac',
      { thrown: "account_unknown" },
    ],
  ];
  for (const [title, getent, expected] of cases) {
    test(`a name service that answers ${title}`, async () => {
      const started = performance.now();
      const results = await askWith({ "/usr/bin/getent": `#!/bin/sh\n${getent}\n` }, ["alice"]);
      assert.partialDeepStrictEqual(results, { alice: expected });
      assert.doesNotMatch(JSON.stringify(results), /"account":/);
      assert.ok(performance.now() - started < 60_000);
    });
  }
});
