import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { makeFifos } from "../process/fifo.ts";
import { isAccountName } from "./name.ts";
import { type RunAsAnswer, type RunAsConfig, type RunAsOptions, type RunAsQuestion, runAsScript } from "./runas.ts";
import { readScript } from "./runas-script.ts";

const euid = process.geteuid?.() ?? 0;
const stranger = 65_534;
const notRoot = euid !== 0 && "only root can make files of another owner";
// Not below /tmp: everybody can write to it, so no script there is trusted.
const root = mkdtempSync(join(euid === 0 ? "/var/lib" : homedir(), "jact-runas-"));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function place(mode = 0o755): string {
  count += 1;
  const directory = join(root, `${count}`);
  mkdirSync(directory);
  chmodSync(directory, mode);
  return directory;
}

function write(path: string, text: string, mode = 0o755): string {
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const script = (body: string) => write(join(place(), "runas"), `#!/bin/bash\n${body}\n`);
const sha256 = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");

const target = "bob";
assert.ok(isAccountName(target));
const question: RunAsQuestion = {
  currentUser: "alice",
  targetUser: target,
  texts: new Map([
    ["user_login", "alice"],
    ["project_id", "20"],
    ["ref_protected", "true"],
    ["sub", 'project_path:g/p:ref:it\'s "quoted"; $(id) `id`\nnext line'],
  ]),
  userIdentities: [{ provider: "ldap", externUid: "uid=alice" }],
};

function ask(
  path: string,
  config: Partial<RunAsConfig> = {},
  options: Partial<RunAsOptions> = {},
  asked: Partial<RunAsQuestion> = {},
): Promise<RunAsAnswer> {
  const all = { validation_script: path, sha256: undefined, user_variable: undefined, validation_env: [], ...config };
  return runAsScript(
    { ...all, validation_script: path },
    { euid, timeoutSeconds: 20, ...options },
  )({ ...question, ...asked });
}

async function refused(code: string, answer: Promise<RunAsAnswer>, detail = /./): Promise<RunAsAnswer> {
  const got = await answer;
  assert.equal(got.mapped ? `mapped to ${got.username}` : got.code, code, got.detail);
  assert.match(got.detail, detail);
  return got;
}

/** A time to sleep that no other process sleeps. */
const nap = `600.${process.pid}`;

const copies = () =>
  ["/run", "/tmp", "/var/tmp"].flatMap((p) => readdirSync(p).filter((n) => n.startsWith("jacamar-runas-")));

/** Whoever is killed while the script runs leaves its copy. */
const left = copies();

describe("the script of docs/authorization.md", () => {
  // Whoever shares files with alice through a group of their own must not have given alice the account.
  const rows: [target: string | undefined, account: string | undefined][] = [
    [undefined, "alice"],
    ["alice", "alice"],
    ["proj-climate", "proj-climate"],
    ["proj-other", undefined],
    ["proj-", undefined],
    ["bob", undefined],
    ["users", undefined],
  ];
  async function answerFor(currentUser: string, wanted: string | undefined): Promise<string | undefined> {
    const guide = readFileSync(join(import.meta.dirname, "../../docs/authorization.md"), "utf8");
    const [, documented = ""] = /^```bash\n(#!.*?)^```$/ms.exec(guide) ?? [];
    const path = write(join(place(), "runas"), documented);
    const programs = place();
    write(join(programs, "id"), `#!/bin/sh\necho ${currentUser} bob 'domain users' proj-climate\n`);
    const targetUser = wanted !== undefined && isAccountName(wanted) ? wanted : undefined;
    const config = { validation_env: [`PATH=${programs}:/usr/bin:/bin`] };
    const answer = await ask(path, config, {}, { currentUser, targetUser });
    return answer.mapped ? answer.username : undefined;
  }

  for (const [wanted, account] of rows) {
    test(`${account === undefined ? "refuses" : "answers"} for alice, who asks for ${wanted ?? "nobody"}`, async () => {
      assert.equal(await answerFor("alice", wanted), account);
    });
  }

  test("refuses whoever has taken a project's name in GitLab", async () => {
    assert.equal(await answerFor("proj-climate", undefined), undefined);
  });
});

describe("runAsScript()", () => {
  test("takes the answer of the script", async () => {
    const path = script(`echo '{"username": "bob", "data_dir": "/data/p", "user_message": "Hello"}'; echo seen >&2`);
    const sum = sha256(readFileSync(path)).toUpperCase();
    const answer = await ask(path, { sha256: sum });
    assert.ok(answer.mapped, answer.detail);
    const { username, dataDir, userMessage, scriptLog } = answer;
    assert.deepEqual(
      { username, dataDir, userMessage, scriptLog },
      {
        username: "bob",
        dataDir: "/data/p",
        userMessage: "Hello",
        scriptLog: "seen\n",
      },
    );
    assert.deepEqual(copies(), left);
  });

  test("runs it with an environment made from nothing", async () => {
    process.env["JACT_LEAK"] = "secret";
    const out = join(place(), "env");
    const path = script(`env -0 > "$OUT"; pwd >> "$OUT"; cat >> "$OUT"; echo '{"username": "bob"}'`);
    const env = [`OUT=${out}`, "EMPTY=", "A=b=c", "JWT_USER_LOGIN=root", "RUNAS_TARGET_USER=root", "JWT_MADE_UP=1"];
    const answer = await ask(path, { validation_env: env });
    delete process.env["JACT_LEAK"];
    assert.ok(answer.mapped, answer.detail);
    const entries = readFileSync(out, "utf8").split("\0");
    assert.equal(entries.pop(), "/\n");
    const seen = Object.fromEntries(
      entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
    );
    assert.match(seen["RUNAS_RUN"] ?? "", /^[0-9a-f]{32}$/);
    for (const own of ["RUNAS_RUN", "_", "SHLVL", "PWD", "OLDPWD"]) delete seen[own];
    assert.deepEqual(seen, {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      OUT: out,
      EMPTY: "",
      A: "b=c",
      JWT_USER_LOGIN: "alice",
      JWT_PROJECT_ID: "20",
      JWT_REF_PROTECTED: "true",
      JWT_SUB: question.texts.get("sub"),
      JWT_USER_IDENTITIES: '[{"provider":"ldap","extern_uid":"uid=alice"}]',
      RUNAS_CURRENT_USER: "alice",
      RUNAS_TARGET_USER: "bob",
      RUNAS_VALIDATION_SCRIPT: path,
    });
  });

  test("gives an empty RUNAS_TARGET_USER to a script when the user asks for nobody", async () => {
    const path = script(`set -u; printf '{"username": "x%s"}' "$RUNAS_TARGET_USER"`);
    const answer = await ask(path, {}, {}, { targetUser: undefined });
    assert.equal(answer.mapped && answer.username, "x");
  });

  test("refuses a claim that is too long or holds a NUL, and leaves out names that are no claims", async () => {
    const path = script(`env | grep -c '^JWT_' >&2; echo '{"username": "bob"}'`);
    const claim = (name: string, text: string) =>
      ask(path, {}, {}, { texts: new Map([[name, text]]), userIdentities: [] });
    await refused("runas_refused", claim("aud", "ä".repeat(2049)), /aud is longer/);
    await refused("runas_refused", claim("ref", "a\0b"), /NUL/);
    for (const name of ["User_Login", "user-login", "a=b", "", "ld preload", "https://gitlab.org/claims", "é"]) {
      assert.equal((await claim(name, "x")).scriptLog, "0\n", name);
    }
    assert.equal((await claim("aud", "ä".repeat(2048))).scriptLog, "1\n");
  });

  test("shows the message of a script that refuses, printable and short", async () => {
    const said = await refused(
      "runas_refused",
      ask(script(`echo '{"user_message": "No account yet."}'; exit 3`)),
      /with 3/,
    );
    assert.equal(said.userMessage, "No account yet.");
    const escape = String.raw`{"user_message": "a\u001b[31mred\r\nsection_end:0:x\u202e\u200b\u0000\u0085b"}`;
    const hostile = await refused("runas_refused", ask(script(`echo '${escape}'; exit 1`)));
    assert.equal(hostile.userMessage, "a[31mred\nsection_end:0:xb");
    const long = await refused("runas_refused", ask(script(`printf '{"user_message": "%02000d"}' 0; exit 1`)));
    assert.equal(long.userMessage?.length, 1024);
    for (const body of [
      "exit 1",
      "echo no; exit 1",
      `echo '{"user_message": 1}'; exit 1`,
      `echo '{"user_message": " "}'; exit 1`,
    ]) {
      assert.equal((await refused("runas_refused", ask(script(body)))).userMessage, undefined, body);
    }
    await refused("runas_refused", ask(script(`echo '{"username": "bob"}'; exit 1`)));
  });

  test("refuses every answer that is not the one object", async () => {
    const answers = [
      "",
      " ",
      "bob",
      '"bob"',
      "[]",
      "null",
      "1",
      "{}",
      '{"username": null}',
      '{"username": 1}',
      '{"username": ["bob"]}',
      '{"username": "bob"',
      '{"username": "bob"}{}',
      '{"username": "bob"} x',
      '{"username": "bob", "uid": 0}',
      '{"username": "bob", "data_dir": 1}',
      '{"username": "bob", "user_message": {}}',
      "{'username': 'bob'}",
      '{"Username": "bob"}',
      '{"username": "b\\xff"}',
    ];
    for (const text of answers) {
      const file = write(join(place(), "answer"), text, 0o644);
      await refused("runas_failed", ask(script(`cat ${file}`)), /answer/);
    }
    await refused("runas_failed", ask(script(String.raw`printf '{"username": "b\377b"}'`)), /UTF-8/);
  });

  test("refuses a data_dir that is not absolute and in normal form", async () => {
    for (const dir of [
      "",
      "/",
      "data",
      "~/x",
      "$HOME/x",
      "/a/../b",
      "/a/..",
      "/a/./b",
      "/a//b",
      "/a/",
      "/a:b",
      "/a\\nb",
      "/a\\u0000",
    ]) {
      await refused("runas_failed", ask(script(`printf '%s' '{"username": "bob", "data_dir": "${dir}"}'`)), /data_dir/);
    }
  });

  test("kills a script that hangs, with all that it started", async () => {
    const started = performance.now();
    const path = script(`setsid sleep ${nap} & sleep ${nap} & trap '' TERM INT; while :; do sleep ${nap}; done`);
    await refused("runas_failed", ask(path, {}, { timeoutSeconds: 1 }), /after 1 s/);
    assert.ok(performance.now() - started < 60_000);
    assert.deepEqual(running(nap), []);
    assert.deepEqual(copies(), left);
  });

  test("does not wait for a process that holds its output, and kills it", async () => {
    const started = performance.now();
    const path = script(`setsid sleep ${nap} & sleep ${nap} & echo '{"username": "bob"}'`);
    const answer = await ask(path);
    assert.ok(answer.mapped, answer.detail);
    assert.ok(performance.now() - started < 60_000);
    assert.deepEqual(running(nap), []);
  });

  test("refuses 1 GB of output, on either stream, without keeping it", async () => {
    const before = process.memoryUsage().rss;
    await refused("runas_failed", ask(script("head -c 1000000000 /dev/zero")), /longer/);
    const noisy = await ask(script(`yes | head -c 100000000 >&2; echo '{"username": "bob"}'`));
    assert.ok(noisy.mapped, noisy.detail);
    assert.equal(noisy.scriptLog.length, 64 * 1024);
    assert.ok(process.memoryUsage().rss - before < 300 * 1024 * 1024);
  });

  test("refuses a script that is killed, or that the driver is told to stop", async () => {
    await refused("runas_failed", ask(script("kill -9 $$")), /SIGKILL/);
    await refused("runas_failed", ask(script("sleep 20"), {}, { stop: AbortSignal.timeout(200) }), /SIGKILL/);
  });

  test("runs scripts of any interpreter, and programs", async () => {
    const text = `{"username": "bob"}`;
    const env = write(join(place(), "env"), `#! /usr/bin/env  bash\necho '${text}'\n`);
    const option = write(join(place(), "option"), `#!/bin/sh -u\nprintf '%s' '${text}'\n`);
    for (const path of [env, option]) assert.equal((await ask(path)).mapped, true, path);
    const program = join(place(), "program");
    copyFileSync("/bin/true", program);
    chmodSync(program, 0o755);
    await refused("runas_failed", ask(program), /is empty/);
    await refused("runas_failed", ask(write(join(place(), "x"), "#!/no/such\n")), /ENOENT/);
  });
});

/** Processes of `sleep` with this argument. */
function running(seconds: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^[0-9]+$/.test(pid) || !existsSync(`/proc/${pid}/cmdline`)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8") === `sleep\0${seconds}\0`;
    } catch {
      return false;
    }
  });
}

const bad = (why: RegExp, path: string, sum?: string) => {
  const read = readScript(path, euid, sum);
  assert.equal(read.safe, false, path);
  assert.match(read.safe ? "" : read.why, why);
};

describe("readScript()", () => {
  const text = "#!/bin/sh\n";

  test("reads a script of ours, and the sum that it has", () => {
    const path = write(join(place(), "runas"), text, 0o500);
    const read = readScript(path, euid, undefined);
    assert.ok(read.safe);
    assert.equal(read.bytes.toString(), text);
    assert.equal(read.sha256, sha256(text));
    assert.ok(readScript(path, euid, sha256(text)).safe);
    bad(/sha256/, path, sha256("other"));
  });

  test("refuses what others can write: the file, its directory, a directory above, also a sticky one", () => {
    for (const mode of [0o775, 0o757, 0o777]) bad(/written by others/, write(join(place(), "runas"), text, mode));
    for (const mode of [0o775, 0o757, 0o1777]) {
      const directory = place(mode);
      bad(/written by others/, write(join(directory, "runas"), text));
      mkdirSync(join(directory, "below"), { mode: 0o755 });
      bad(/written by others/, write(join(directory, "below", "runas"), text));
    }
    bad(/"\/tmp" can be written by others/, "/tmp/runas");
  });

  test("refuses what belongs to somebody else", { skip: notRoot }, () => {
    const path = write(join(place(), "runas"), text);
    chownSync(path, stranger, stranger);
    bad(/belongs to the account number 65534/, path);
    const directory = place();
    const inside = write(join(directory, "runas"), text);
    chownSync(directory, stranger, stranger);
    bad(/belongs to the account number 65534/, inside);
    // The driver's account may own it, root always may.
    assert.ok(readScript(inside, stranger, undefined).safe);
  });

  test("follows a link of ours, and refuses a stranger's, one that leads where others write, and a circle", () => {
    const path = write(join(place(), "runas"), text);
    const link = join(place(), "link");
    symlinkSync(path, link);
    assert.ok(readScript(link, euid, undefined).safe);
    const relative = join(place(), "relative");
    symlinkSync(`../${path.split("/").at(-2)}/./runas`, relative);
    assert.ok(readScript(relative, euid, undefined).safe);
    if (euid === 0) {
      lchownSync(link, stranger, stranger);
      bad(/symbolic link/, link);
    }
    const open = place(0o777);
    const planted = join(open, "link");
    symlinkSync(path, planted);
    bad(/written by others/, planted);
    const leading = join(place(), "leading");
    symlinkSync(planted, leading);
    bad(/written by others/, leading);
    const circle = join(place(), "circle");
    symlinkSync(circle, circle);
    bad(/too many/, circle);
  });

  test("refuses what is no executable file, without hanging", async () => {
    bad(/not executable/, write(join(place(), "runas"), text, 0o644));
    bad(/directory|regular/, place());
    bad(/directory/, "/");
    bad(/ENOENT/, join(place(), "missing"));
    bad(/ENOTDIR/, join(write(join(place(), "file"), text), "x"));
    bad(/absolute/, "runas");
    const fifos = place();
    await makeFifos(fifos, 1);
    chmodSync(join(fifos, "0"), 0o755);
    bad(/regular/, join(fifos, "0"));
  });
});

describe("a script that is exchanged all the time", () => {
  const good = `#!/bin/bash\necho '{"username": "good"}'\n`;
  const evil = `#!/bin/bash\necho '{"username": "evil"}'\n`;

  /** Exchanges the file until it is ended, some thousand times a second. */
  function exchange(line: string, stop: AbortSignal): Promise<unknown> {
    const argv = ["bash", "-c", `while :; do ${line}; done`] as const;
    const environment = { PATH: "/usr/bin:/bin" };
    return capture({ argv, environment, workingDirectory: "/" }, { timeoutSeconds: 60, stop });
  }

  for (const how of ["file", "link", "content"]) {
    test(`runs the bytes of the sum, or nothing (${how})`, async () => {
      const directory = place();
      const path = write(join(directory, "runas"), good);
      write(join(directory, "good"), good);
      write(join(directory, "evil"), evil);
      const lines = {
        file: `cp -p good a; mv -T a runas; cp -p evil a; mv -T a runas`,
        link: `ln -sfT evil b; mv -T b runas; ln -sfT good b; mv -T b runas`,
        content: `cat evil > runas; cat good > runas`,
      };
      const ender = new AbortController();
      const ended = exchange(
        `cd ${directory}; ${how === "file" ? lines.file : how === "link" ? lines.link : lines.content}`,
        ender.signal,
      );
      const seen = new Map<string, number>();
      try {
        // On a busy machine one of the two may be rare.
        const isSeen = () => seen.has("good") && seen.has("runas_unsafe");
        for (let round = 0; round < 150 || (!isSeen() && round < 3000); round += 1) {
          const answer = await ask(path, { sha256: sha256(good) });
          const outcome = answer.mapped ? answer.username : answer.code;
          seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        }
      } finally {
        ender.abort();
        await ended;
      }
      assert.deepEqual(
        [...seen.keys()].filter((outcome) => outcome !== "good" && outcome !== "runas_unsafe"),
        [],
      );
      assert.ok((seen.get("good") ?? 0) > 0 && (seen.get("runas_unsafe") ?? 0) > 0, JSON.stringify([...seen]));
    });
  }

  test("runs what was checked, also when the script exchanges itself", async () => {
    const directory = place();
    const path = join(directory, "runas");
    write(join(directory, "evil"), evil);
    write(path, `#!/bin/bash\nmv -T ${directory}/evil ${path}\nsleep 0.1\necho '{"username": "good"}'\n`);
    const answer = await ask(path);
    assert.equal(answer.mapped && answer.username, "good");
    renameSync(path, `${path}.old`);
  });
});
