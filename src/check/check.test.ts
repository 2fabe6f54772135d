import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { formatFinding } from "../config/problem.ts";
import { checkText } from "./check.ts";
import { rules } from "./rules.ts";

// Not in /tmp: what lies there others could exchange, as far as a RunAs script is concerned.
const directory = mkdtempSync(join(userInfo().homedir, ".jacamar-check-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, text = "", mode = 0o755): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const general = '[general]\nexecutor = "shell"\ndata_dir = "$HOME"\n';
/** Line 6 is the first line of what is given. */
const podman = (text: string) => `${general}run_mechanism = "podman"\n[general.podman]\n${text}\n`;
/** Line 7 is the first line of what is given. */
const auth = (text: string, downscope = "setuid") =>
  `${general}gitlab_server = "https://gitlab.example.com"\n[auth]\ndownscope = "${downscope}"\n${text}\n`;

async function found(text: string, elsewhere = false): Promise<{ problems: string[]; warnings: string[] }> {
  const { problems, warnings } = await checkText({ text }, { file: "f", elsewhere });
  return {
    problems: problems.map((problem) =>
      formatFinding(problem, "problem").replace(/^f:/, "").replace(": problem: ", " "),
    ),
    warnings: warnings.map((warning) =>
      formatFinding(warning, "warning").replace(/^f:/, "").replace(": warning: ", " "),
    ),
  };
}

/** What one rule finds. */
async function foundBy(rule: string, text: string, elsewhere = false): Promise<string[]> {
  const { problems, warnings } = await found(text, elsewhere);
  return [...problems, ...warnings]
    .filter((line) => line.endsWith(`[${rule}]`))
    .map((line) => line.slice(0, -rule.length - 3));
}

test("checkText() finds nothing in a plain file", async () => {
  assert.deepEqual(await found(general), { problems: [], warnings: [] });
  assert.deepEqual(
    await found(
      podman('image_allowlist = [\'^reg\\.example\\.com/group/.*$\']\ncustom_options = ["--network", "none"]'),
    ),
    {
      problems: [],
      warnings: [],
    },
  );
  assert.deepEqual(await found(auth('jwt_required_aud = "x"')), { problems: [], warnings: [] });
});

test("checkText() applies its rules beside the mistakes of the schema", async () => {
  const { problems } = await found('[general]\nforse = 1\n[general.podman]\ntty = 3\ncustom_options = ["x"]\n');
  assert.deepEqual(problems, [
    problems[0] ?? "",
    '1:2 general.data_dir: is missing; expected an absolute path, or one that starts with "$HOME" or "~", with no ".." and no ":" in it',
    "2:1 general.forse: is not a key of [general]",
    "4:7 general.podman.tty: 3 cannot be used; expected true or false, without quotes",
    '5:19 general.podman.custom_options[0]: "x" is no option: Podman takes it for the image, and runs that; expected an option, or the value of the option before it [option-broken]',
  ]);
});

describe("file-missing", () => {
  test("names each file that is not there or cannot be used", async () => {
    const program = file("closed", "", 0o600);
    const lines = await foundBy(
      "file-missing",
      `${general}shell_path = "/nonexistent/bash"\ntls-ca-file = "${file("ca.pem", "no", 0o644)}"\nrun_mechanism = "podman"\n[general.podman]\napplication_path = "${program}"\nprep_script = "${directory}"\n`,
    );
    assert.deepEqual(lines, [
      '4:14 general.shell_path: "/nonexistent/bash" does not exist',
      `5:15 general.tls-ca-file: "${directory}/ca.pem" holds no certificate`,
      `8:20 general.podman.application_path: "${program}" is not executable, or cannot be reached`,
      `9:15 general.podman.prep_script: "${directory}" is not a regular file`,
    ]);
  });

  test("looks for the scheduler's programs where the configuration says", async () => {
    const text = general.replace('"shell"', '"slurm"');
    const lines = await foundBy("file-missing", `${text}[batch]\nscheduler_bin = "${directory}"\n`);
    assert.deepEqual(lines, [`5:17 batch.scheduler_bin: "${directory}/sbatch" does not exist`]);
    assert.deepEqual(await foundBy("file-missing", text), []);
  });

  test("looks only for what is used, and not on this machine for another", async () => {
    const unused = `${general}[general.podman]\nprep_script = "/nonexistent"`;
    assert.deepEqual(await foundBy("file-missing", unused), []);
    assert.deepEqual(await foundBy("file-missing", podman('prep_script = "/nonexistent"'), true), []);
  });
});

describe("file-exchangeable", () => {
  test("tells the file, the directory or the link that others can exchange", async () => {
    const open = join(directory, "open");
    mkdirSync(open);
    const script = join(open, "prep");
    writeFileSync(script, "", { mode: 0o755 });
    const message = (what: string, mode: string) =>
      `6:15 general.podman.prep_script: "${what}" can be written by others (mode ${mode}); who does so runs code as every user who has a job`;
    const lines = () => foundBy("file-exchangeable", podman(`prep_script = "${script}"`));
    assert.deepEqual(await lines(), []);
    chmodSync(script, 0o757);
    assert.deepEqual(await lines(), [message(script, "0757")]);
    chmodSync(script, 0o755);
    chmodSync(open, 0o777);
    assert.deepEqual(await lines(), [message(open, "0777")]);
    // Nobody can exchange what is another's in a sticky directory.
    chmodSync(open, 0o1777);
    assert.deepEqual(await lines(), []);
    chmodSync(open, 0o777);
    symlinkSync(script, join(directory, "link"));
    const linked = await foundBy("file-exchangeable", podman(`prep_script = "${directory}/link"`));
    assert.deepEqual(linked, [message(open, "0777")]);
  });
});

test("file-exchangeable tells that the configuration itself could be exchanged", async () => {
  const open = join(directory, "open-for-all");
  mkdirSync(open);
  chmodSync(open, 0o777);
  const own = { text: general, uid: process.getuid?.() ?? 0, mode: 0o644 };
  const told = async (path: string) => {
    const { problems } = await checkText(own, { file: path, elsewhere: false });
    return problems.map(({ rule, message }) => `${rule}: ${message}`);
  };
  assert.deepEqual(await told(join(directory, "jacamar.toml")), []);
  assert.deepEqual(await told(join(open, "jacamar.toml")), [
    `file-exchangeable: "${open}" can be written by others (mode 0777), so this file could be exchanged; who does so decides as whom jobs run`,
  ]);
});

test("protection-off knows the keys outside of [auth]", async () => {
  const text = `${general.replace('"shell"', '"slurm"')}unrestricted_cmd_line = true\n[batch]\nallow_illegal_args = true\n`;
  const keys = (await foundBy("protection-off", text)).map((line) => line.split(" ")[1]);
  assert.deepEqual(keys, ["general.unrestricted_cmd_line:", "batch.allow_illegal_args:"]);
});

test("runas-unsafe tells why jacamar-auth would not run the script", async () => {
  const script = file("runas", "#!/bin/sh\n");
  const lines = (more = "") => foundBy("runas-unsafe", auth(`[auth.runas]\nvalidation_script = "${script}"\n${more}`));
  assert.deepEqual(await lines(), []);
  const [wrongSum] = await lines(`sha256 = "${"0".repeat(64)}"`);
  assert.match(
    wrongSum ?? "",
    /^8:21 auth\.runas\.validation_script: the script is not run: its sha256 is [0-9a-f]{64}, not/,
  );
  chmodSync(script, 0o775);
  const why = `"${script}" can be written by others (mode 0775)`;
  assert.deepEqual(await lines(), [`8:21 auth.runas.validation_script: the script is not run: ${why}`]);
});

describe("option-undoes-protection", () => {
  test("knows what opens a container, in every spelling", async () => {
    const opening = [
      ["--privileged"],
      ["--privileged=true"],
      ["--pid=host"],
      ["--pid", "host"],
      ["--ipc", "host"],
      ["--userns=host"],
      ["--cap-add=ALL"],
      ["--cap-add", "SYS_PTRACE"],
      ["--env-host"],
      ["--security-opt", "seccomp=unconfined"],
      ["--security-opt=label=disable"],
      ["--security-opt=apparmor=unconfined"],
      ["--security-opt=unmask=ALL"],
      ["--volume", "/:/host"],
      ["-v/:/host"],
      ["--volume=//etc/:/host:ro"],
      ["--mount", "type=bind,source=/proc,target=/p"],
      ["-v", "/run/user/1/podman/podman.sock:/s"],
      ["-v", "/var/run/docker.sock:/s"],
    ];
    for (const list of opening) {
      for (const key of ["custom_options", "runner_options"]) {
        const lines = await foundBy("option-undoes-protection", podman(`${key} = ${JSON.stringify(list)}`));
        assert.equal(lines.length, 1, list.join(" "));
        assert.match(lines[0] ?? "", new RegExp(`^6:\\d+ general\\.podman\\.${key}\\[0\\]: --`));
      }
    }
  });

  test("leaves the rest alone", async () => {
    const harmless = [
      ["--privileged=false"],
      ["--pid=private"],
      ["--userns=keep-id"],
      ["--cap-drop=ALL"],
      ["--security-opt=no-new-privileges"],
      ["--volume=/opt:/opt:ro"],
      ["--env", "--privileged"],
      ["--network=host"],
      ["--device=/dev/fuse"],
    ];
    for (const list of harmless) {
      const text = podman(`custom_options = ${JSON.stringify(list)}`);
      assert.deepEqual(await foundBy("option-undoes-protection", text), [], list.join(" "));
    }
  });

  test("knows a socket by looking", async () => {
    const path = join(directory, "service");
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once("listening", resolve));
    const text = podman(`custom_options = ["-v", "${path}:/s"]`);
    assert.equal((await foundBy("option-undoes-protection", text)).length, 1);
    assert.equal((await foundBy("option-undoes-protection", text, true)).length, 0);
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await foundBy("option-undoes-protection", text)).length, 0);
  });
});

test("option-broken and option-of-the-driver find what is the program's own", async () => {
  const text = podman(
    'custom_options = ["-d", "--name=x", "--pull=always", "--label", "jacamar-ci.job=1", "--label=a=b"]',
  );
  assert.deepEqual(await foundBy("option-broken", text), [
    "6:19 general.podman.custom_options[0]: --detach lets the stage end before its script does, so that no stage passes; expected it to be left out",
    "6:25 general.podman.custom_options[1]: --name gives all containers one name, so that no two jobs run at a time; expected it to be left out",
  ]);
  assert.deepEqual(await foundBy("option-of-the-driver", text), [
    "6:37 general.podman.custom_options[2]: --pull is the program's own; expected general.podman.image_pull_policy to be used",
    "6:54 general.podman.custom_options[3]: --label is the program's own; expected labels that do not begin with jacamar-ci., by which cleanup finds containers",
  ]);
});

test("pattern-wide shows a name that the expression also matches", async () => {
  const first = async (pattern: string) => {
    const [line = ""] = await foundBy("pattern-wide", podman(`image_allowlist = ['${pattern}']`));
    return /also matches "([^"]*)"/.exec(line)?.[1];
  };
  assert.equal(await first("^registry.example.com/group/.*$"), "registryxexample.com/group/x");
  assert.equal(await first("^registry\\.example\\.com.*$"), "registry.example.com.evil.example/image");
  assert.equal(await first("^registry\\.example\\.com/group.*$"), "registry.example.com/group-of-others/image");
  assert.equal(await first("^.*$"), "evil.example/any/image");
  assert.equal(await first(".*"), "evil.example/any/image");
  assert.equal(await first("^(registry\\.example\\.com|.+)/x$"), "evil.example/x");
  assert.equal(await first("^registry\\.example\\.com/group/.*$"), undefined);
  assert.equal(await first("^registry\\.example\\.com/group/image:.*$"), undefined);
  assert.equal(await first("^debian:1\\d$"), undefined);
});

test("auth-incomplete does not miss what stands in the file and is wrong", async () => {
  const text = `${general}gitlab_server = "gitlab"\n[auth]\ndownscope = "setuuid"\n`;
  assert.deepEqual(await foundBy("auth-incomplete", text), []);
  const { problems } = await found(text);
  assert.deepEqual(
    problems.map((line) => line.split(" ").slice(0, 2).join(" ")),
    ["4:17 general.gitlab_server:", "6:13 auth.downscope:"],
  );
});

test("auth-incomplete tells all that jacamar-auth would refuse", async () => {
  const text = `${general}run_mechanism = "podman"\n[auth]\nno_new_privs = true\n[auth.logging]\nlocation = "x"\n`;
  assert.deepEqual(
    (await foundBy("auth-incomplete", text)).map((line) => line.split(". ")[0]?.slice(0, 90)),
    [
      "1:2 general: The configuration does not name the GitLab server",
      "5:2 auth: The configuration does not say how the rights of the runner are given up",
      '6:1 auth.no_new_privs: no_new_privs and run_mechanism = "podman" exclude each other',
      '7:7 auth.logging: [auth.logging] has the location "x"',
    ].map((line) => line.slice(0, 90)),
  );
  const plain = auth("root_dir_creation = true", "sudo").replace("https:", "http:");
  assert.deepEqual(await foundBy("auth-incomplete", plain), [
    '4:1 general.gitlab_server: [general] gitlab_server is http://…, and without TLS anybody on the line could sign tokens. Give the address of GitLab as it stands in its external_url, such as "https://gitlab.example.com".',
    '7:1 auth.root_dir_creation: needs root, and with downscope = "sudo" the runner is not root',
  ]);
});

test("auth-incomplete and protection-off know when a filter on system calls cannot be, or is off", async () => {
  const broken = (text: string, downscope?: string) => foundBy("auth-incomplete", auth(text, downscope));
  const one = '[auth.seccomp]\nblock_calls = ["ptrace"]';
  assert.deepEqual(await broken(one), []);
  assert.deepEqual(await broken(`no_new_privs = true\n${one}`, "sudo"), []);
  assert.match(
    String(await broken(one, "none")),
    /^7:7 auth\.seccomp: The filter of \[auth\.seccomp\] cannot be loaded with downscope = "none"\./,
  );
  assert.match(
    String(await broken('[auth.seccomp]\nblock_calls = ["setgid", "read"]')),
    /^7:7 auth\.seccomp: .* without which no job runs: "read", "setgid"\. Take them out of block_calls\.$/,
  );
  // Where the filter comes after the change of ids, that needs no call any more.
  assert.deepEqual(await broken('no_new_privs = true\n[auth.seccomp]\nblock_calls = ["setgid"]'), []);
  assert.match(
    String(await broken('[auth.seccomp]\nallow_calls = ["read"]')),
    /no job runs: "brk", .*Add them to allow_calls/,
  );
  assert.match(
    String(
      await foundBy(
        "auth-incomplete",
        auth("[auth.seccomp]\nlimit_setuid = true").replace("[auth]", 'run_mechanism = "podman"\n[auth]'),
      ),
    ),
    /limit_setuid and run_mechanism = "podman" exclude each other/,
  );
  assert.deepEqual(await foundBy("protection-off", auth(`jwt_required_aud = "x"\n${one}\ndisabled = true`)), [
    "10:1 auth.seccomp.disabled: lets jobs make the system calls that the table would block",
  ]);
});

test("call-filter-broken places names of no call, and says what containers miss", async () => {
  const text = auth(
    '[auth.seccomp]\nblock_calls = ["ptrace", "no_such_call"]\nallow_calls = ["nor_this"]\nblock_all = false',
  );
  assert.deepEqual(await foundBy("call-filter-broken", text), [
    '8:26 auth.seccomp.block_calls[1]: "no_such_call" is no system call that libseccomp of this machine knows',
    '9:16 auth.seccomp.allow_calls[0]: "nor_this" is no system call that libseccomp of this machine knows',
  ]);
  assert.deepEqual(await foundBy("call-filter-broken", text, true), [], "another machine knows other calls");
  const containers = auth('[auth.seccomp]\nblock_calls = ["mount"]').replace(
    "[auth]",
    'run_mechanism = "podman"\n[auth]',
  );
  assert.deepEqual(await foundBy("call-filter-broken", containers), [
    "8:7 auth.seccomp: blocks what Podman needs, so that no job in a container runs: mount",
  ]);
});

test("call-filter-keeps-rights knows by what programs give their rights up", async () => {
  const kept = (text: string) => foundBy("call-filter-keeps-rights", auth(text));
  assert.deepEqual(await kept('[auth.seccomp]\nblock_calls = ["ptrace"]'), []);
  assert.deepEqual(await kept('[auth.seccomp]\nblock_calls = ["setresuid", "capset"]'), [
    "7:7 auth.seccomp: blocks capset, setresuid, by which programs with rights of their own give them up, without no_new_privs",
  ]);
  assert.match(
    String(await kept("[auth.seccomp]\nlimit_setuid = true")),
    /blocks setregid, setresgid, setresuid, setreuid, /,
  );
  assert.deepEqual(await kept("no_new_privs = true\n[auth.seccomp]\nlimit_setuid = true"), []);
});

test("call-filter-gap tells what the filter does not reach", async () => {
  const gap = (text: string) => foundBy("call-filter-gap", auth(`[auth.seccomp]\n${text}`));
  assert.deepEqual(await gap('block_calls = ["mkdir", "mkdirat", "ptrace", "process_vm_readv"]'), [
    '8:36 auth.seccomp.block_calls[2]: "ptrace" is blocked, and process_vm_writev can do the same',
  ]);
  assert.deepEqual(await gap('block_calls = ["read"]\nallow_calls = ["write", "read"]'), [
    '9:25 auth.seccomp.allow_calls[1]: "read" is in block_calls, too, which outranks this list',
  ]);
  const batch = auth('[auth.seccomp]\nblock_calls = ["mount"]').replace('"shell"', '"slurm"');
  assert.deepEqual(await foundBy("call-filter-gap", batch), [
    '7:7 auth.seccomp: with executor = "slurm" the scripts of batch jobs are not filtered: the scheduler starts them',
  ]);
});

test("protection-off names each check that is off", async () => {
  const text = auth(
    'jwt_exp_delay = "1h"\nallow_bot_accounts = true\n[auth.logging]\nenabled = false\nrequired = false\n[auth.runas]\nvalidation_script = "/x"',
    "none",
  );
  const keys = (await foundBy("protection-off", text)).map((line) => line.split(" ")[1]);
  assert.deepEqual(keys, [
    "auth:",
    "auth.downscope:",
    "auth.jwt_exp_delay:",
    "auth.allow_bot_accounts:",
    "auth.logging.enabled:",
    "auth.logging.required:",
  ]);
});

test("list-contradiction, empty-list and name-unknown read the lists", async () => {
  const me = userInfo().username;
  const text = auth(
    `user_allowlist = ["${me}", "no-such-user-x"]\nuser_blocklist = ["${me}"]\ngroups_allowlist = []\ngroups_blocklist = ["no-such-group-x"]\nshell_allowlist = ["bash"]`,
  );
  const contradictions = await foundBy("list-contradiction", text);
  assert.ok(
    contradictions.includes(`7:19 auth.user_allowlist[0]: "${me}" is in user_blocklist, too, which outranks this list`),
  );
  assert.ok(contradictions.some((line) => line.startsWith('11:20 auth.shell_allowlist[0]: "bash" is no login shell')));
  assert.deepEqual(await foundBy("empty-list", text), ["9:20 auth.groups_allowlist: is empty, so that no job runs"]);
  assert.deepEqual(await foundBy("name-unknown", text), [
    `7:${21 + me.length + 2} auth.user_allowlist[1]: there is no account "no-such-user-x" on this machine`,
    '10:21 auth.groups_blocklist[0]: there is no group "no-such-group-x" on this machine',
  ]);
  assert.deepEqual(await foundBy("name-unknown", text, true), []);
});

test("data-directory tells a directory in which nobody can work", async () => {
  const place = join(directory, "data");
  const lines = (more = "") => foundBy("data-directory", general.replace("$HOME", place) + more);
  assert.deepEqual(await lines(), [`3:12 general.data_dir: "${place}" does not exist on this machine`]);
  mkdirSync(place);
  chmodSync(place, 0o777);
  assert.match((await lines()).join(), /without the sticky bit, so no job runs with it/);
  chmodSync(place, 0o1777);
  assert.deepEqual(await lines(), []);
});

test("secret-readable looks at the mode of the file", async () => {
  const text = auth('downscope_env = ["SITE_TOKEN=x", "LANG=C"]');
  const lines = async (mode: number) => {
    const { warnings } = await checkText({ text, uid: process.getuid?.() ?? 0, mode }, { file: "f", elsewhere: false });
    return warnings.filter(({ rule }) => rule === "secret-readable").length;
  };
  assert.deepEqual([await lines(0o644), await lines(0o640)], [1, 0]);
});

test("checkText() takes any text", async () => {
  const tokens = fc.constantFrom(
    "[general]\n",
    "[auth]\n",
    "[general.podman]\n",
    "data_dir",
    "custom_options",
    "image_allowlist",
    " = ",
    '["',
    '", "',
    '"]\n',
    "-",
    "/",
    ".*",
    "\\",
    "^",
    "\n",
    "1",
    "true\n",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(tokens, { maxLength: 40 }).map((all) => all.join("")),
      async (text) => void (await checkText({ text }, { file: "f", elsewhere: true })),
    ),
    { numRuns: 300 },
  );
});

test("rules have names of their own, and texts", () => {
  assert.equal(new Set(rules.map(({ name }) => name)).size, rules.length);
  for (const { name, means, why, remedy } of rules) {
    assert.match(name, /^[a-z]+(?:-[a-z]+)*$/);
    for (const text of [means, why, remedy]) assert.match(text, /\.$/, name);
  }
});
