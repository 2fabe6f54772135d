import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { ErrorCode } from "../error/codes.ts";
import { JacamarError } from "../error/error.ts";
import { checkConfiguration, formatProblem, loadConfiguration } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-config-"));
after(() => rmSync(directory, { recursive: true }));

const required = 'executor = "shell"\ndata_dir = "/ci"\n';
/** Line 4 is the first line of what is given. */
const general = (text: string) => `[general]\n${required}${text}`;
/** Line 5 is the first line of what is given. */
const podman = (text: string) => general(`run_mechanism = "podman"\n[general.podman]\n${text}`);

async function problemsOf(text: string): Promise<string[]> {
  const { config, problems } = await checkConfiguration(text, "f");
  assert.equal(config === undefined, problems.length > 0);
  return problems.map(formatProblem);
}

async function warningsOf(text: string): Promise<string[]> {
  const { problems, warnings } = await checkConfiguration(text, "f");
  assert.deepEqual(problems.map(formatProblem), []);
  return warnings.map(formatProblem);
}

/** The example of the specification, with the two keys that each configuration needs. */
const specification = `
[general]
  executor = "shell"
  data_dir = "$HOME/.jacamar-ci"
  run_mechanism = "podman"
  force_mechanism = false

[general.podman]
  application_path = "/bin/podman"
  runner_image = "registry.gitlab.com/ecp-ci/jacamar-ci/ubi9-runner:16.6.2"
  runner_entry_point = ["/bin/bash", "-l", "-c"]
  default_image = "registry.access.redhat.com/ubi9/ubi-minimal:latest"
  custom_options = []
  user_entry_point = []
  step_script_only = false
  disable_container_removal = false
  image_pull_policy = "always"
  image_allowlist = ["^registry.example.com\\/group/.*$"]
  user_volume_variable = "PODMAN_VOLUMES"
  archive_format = "none"
`;

test("checkConfiguration() takes the specification's own example, and reports its \\/", async () => {
  const { config, problems, warnings } = await checkConfiguration(specification, "f");
  assert.deepEqual(problems, []);
  assert.deepEqual(config?.general.podman, {
    application_path: "/bin/podman",
    runner_image: "registry.gitlab.com/ecp-ci/jacamar-ci/ubi9-runner:16.6.2",
    runner_options: [],
    runner_entry_point: ["/bin/bash", "-l", "-c"],
    runner_pull_policy: undefined,
    default_image: "registry.access.redhat.com/ubi9/ubi-minimal:latest",
    custom_options: [],
    user_entry_point: undefined,
    image_pull_policy: "always",
    step_script_only: false,
    disable_container_removal: false,
    image_allowlist: ["^registry.example.com/group/.*$"],
    user_volume_variable: "PODMAN_VOLUMES",
    prep_script: undefined,
    archive_format: "none",
    archive_cache_size: undefined,
    tty: true,
    selinux_labels: true,
  });
  assert.deepEqual(warnings.map(formatProblem), [
    "f:12:3: general.podman.default_image: has no effect without general.force_mechanism",
    "f:18:44: \\/ is not TOML and was read as /; expected single quotes '…', in which a backslash is only a backslash",
  ]);
});

test("checkConfiguration() fills in the defaults of a short file", async () => {
  const { config, warnings } = await checkConfiguration(general(""), "f");
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    general: {
      executor: "shell",
      data_dir: "/ci",
      retain_logs: false,
      custom_build_dir: false,
      name: undefined,
      kill_timeout: 120,
      shell_path: undefined,
      job_message: undefined,
      gitlab_server: undefined,
      "tls-ca-file": undefined,
      unrestricted_cmd_line: false,
      static_builds_dir: false,
      static_dir_retention: 7,
      group_permissions: false,
      jwt_env_variable: "CI_JOB_JWT",
      run_mechanism: undefined,
      force_mechanism: false,
      podman: {
        application_path: undefined,
        runner_image: undefined,
        runner_options: [],
        runner_entry_point: undefined,
        runner_pull_policy: undefined,
        default_image: undefined,
        custom_options: [],
        user_entry_point: undefined,
        image_pull_policy: undefined,
        step_script_only: false,
        disable_container_removal: false,
        image_allowlist: undefined,
        user_volume_variable: undefined,
        prep_script: undefined,
        archive_format: undefined,
        archive_cache_size: undefined,
        tty: true,
        selinux_labels: true,
      },
    },
    auth: undefined,
    record: undefined,
    batch: {
      arguments_variable: ["SCHEDULER_PARAMETERS"],
      scheduler_bin: undefined,
      env_vars: [],
      command_delay: 30,
      nfs_timeout: 30,
      queue_timeout: undefined,
      allow_illegal_args: false,
    },
  });
});

test("checkConfiguration() takes every key that is built", async () => {
  const built = `retain_logs = true
custom_build_dir = true
name = "north"
kill_timeout = "1m30s"
shell_path = "/usr/bin/bash"
job_message = "Hello\\nworld"
group_permissions = true
run_mechanism = "podman"
force_mechanism = true
[general.podman]
runner_image = "a/b:1"
runner_options = ["--network=none"]
runner_pull_policy = "if-not-present"
image_pull_policy = "newer"
prep_script = "/etc/prep"
tty = false
selinux_labels = false
archive_format = "oci-dir"
`;
  const { config, problems, warnings } = await checkConfiguration(general(built), "f");
  assert.deepEqual([...problems, ...warnings], []);
  assert.equal(config?.general.kill_timeout, 90);
  assert.equal(config.general.job_message, "Hello\nworld");
  assert.equal(config.general.podman.runner_pull_policy, "missing");
  assert.equal(config.general.podman.image_pull_policy, "newer");
});

test("checkConfiguration() tells all problems of a file at once, in its order", async () => {
  const text = `data_dir = "x"
[genral]
[general]
executor = "slurn"
kill_timeout = 120
retain_logs = "yes"
[general.podman]
archive_format = "docker_archive"
runner_options = ["--x", 5]
image_allowlist = ["^ok$", "("]
[auth]
user_allowlist = "root"
`;
  assert.deepEqual(await problemsOf(text), [
    'f:1:1: data_dir: stands outside of a table; did you mean "general.data_dir"?',
    'f:2:2: genral: is not a known table; did you mean "general"?',
    'f:3:2: general.data_dir: is missing; expected an absolute path, or one that starts with "$HOME" or "~", with no ".." and no ":" in it',
    'f:4:12: general.executor: "slurn" cannot be used; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"; did you mean "slurm"?',
    'f:5:16: general.kill_timeout: 120 cannot be used; expected a duration in quotes with a unit, such as "120s", "2m" or "1h30m"; did you mean "120s"?',
    'f:6:15: general.retain_logs: "yes" cannot be used; expected true or false, without quotes',
    'f:8:18: general.podman.archive_format: "docker_archive" cannot be used; expected one of "none", "docker-archive", "docker-dir", "oci-archive", "oci-dir"; did you mean "docker-archive"?',
    "f:9:26: general.podman.runner_options[1]: 5 cannot be used; expected text in quotes, not empty",
    'f:10:28: general.podman.image_allowlist[1]: "(" cannot be used: missing closing ): `(`; expected a regular expression in RE2\'s syntax',
    'f:12:18: auth.user_allowlist: "root" cannot be used; expected a list of strings, such as ["alice"]',
  ]);
});

test("checkConfiguration() names what is missing and where it belongs", async () => {
  const dataDir = 'an absolute path, or one that starts with "$HOME" or "~", with no ".." and no ":" in it';
  assert.deepEqual(await problemsOf(""), [
    "f:1:1: general: is missing; expected the table [general] with executor and data_dir",
  ]);
  assert.deepEqual(await problemsOf("# a\n\n  [ general ]\n"), [
    'f:3:5: general.executor: is missing; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"',
    `f:3:5: general.data_dir: is missing; expected ${dataDir}`,
  ]);
  assert.deepEqual(await problemsOf('\ngeneral = { executor = "shell" }'), [
    `f:2:1: general.data_dir: is missing; expected ${dataDir}`,
  ]);
});

test("checkConfiguration() places keys and values of dotted, quoted, nested and inline tables", async () => {
  const text = `general.executor = "x"
"general".data_dir = 1
general . 'podman' . tty = 2
general.podman.volumes = { a = 1 }
general.podman.custom_options = [
  "--a", # one
  { b = 1 },
  [ "c" ],
  "",
]
`;
  const item = "text in quotes, not empty";
  assert.deepEqual(
    (await problemsOf(text)).map((line) => line.replace(/(data_dir: .*); expected.*/, "$1")),
    [
      'f:1:20: general.executor: "x" cannot be used; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"',
      "f:2:22: general.data_dir: 1 cannot be used",
      "f:3:28: general.podman.tty: 2 cannot be used; expected true or false, without quotes",
      "f:4:16: general.podman.volumes: is not a key of [general.podman]",
      `f:7:3: general.podman.custom_options[1]: a table cannot be used; expected ${item}`,
      `f:8:3: general.podman.custom_options[2]: a list cannot be used; expected ${item}`,
      `f:9:3: general.podman.custom_options[3]: "" cannot be used; expected ${item}`,
    ],
  );
  assert.deepEqual(await problemsOf(`[general]\n${required}podman = { tty = true, tti = 1, tty2 = { x = 1 } }`), [
    'f:4:24: general.podman.tti: is not a key of [general.podman]; did you mean "tty"?',
    'f:4:33: general.podman.tty2: is not a key of [general.podman]; did you mean "tty"?',
  ]);
});

test("checkConfiguration() reads TOML 1.1 and places its problems", async () => {
  assert.deepEqual(
    await problemsOf(podman("").replace("[general.podman]\n", "podman = {\n  tty = true,\n  x = 1,\n}")),
    ["f:7:3: general.podman.x: is not a key of [general.podman]"],
  );
});

test("checkConfiguration() counts columns behind text of any script, and lines of any ending", async () => {
  assert.deepEqual(
    await problemsOf(`\ufeff[general]\r\n${required}\r\npodman = { "\u00e9\u{1f600}" = 1, x = 2 } # \u00fc`),
    [
      'f:5:12: general.podman."\u00e9\u{1f600}": is not a key of [general.podman]',
      "f:5:23: general.podman.x: is not a key of [general.podman]",
    ],
  );
});

test("checkConfiguration() takes nothing but a table for a table", async () => {
  const expected = "expected the table [general]";
  assert.deepEqual(await problemsOf("general = 1"), [`f:1:1: general: is 1; ${expected}`]);
  assert.deepEqual(await problemsOf("general = []"), [`f:1:1: general: is a list; ${expected}`]);
  assert.deepEqual(await problemsOf("general = 2020-01-01"), [`f:1:1: general: is a date; ${expected}`]);
  assert.deepEqual(await problemsOf(`[[general]]\n${required}`), [`f:1:3: general: is a list; ${expected}`]);
  assert.deepEqual(await problemsOf(general("[[general.podman]]")), [
    "f:4:11: general.podman: is a list; expected the table [general.podman]",
  ]);
});

test("checkConfiguration() takes keys that JavaScript gives to every object for unknown ones", async () => {
  for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString", "prototype"]) {
    assert.deepEqual(await problemsOf(general(`${name} = 1`)), [`f:4:1: general.${name}: is not a key of [general]`]);
    assert.deepEqual(await problemsOf(`[${name}]\nx = 1\n${general("")}`), [`f:1:2: ${name}: is not a known table`]);
    assert.deepEqual(await problemsOf(podman(`${name}.tty = false`)), [
      `f:6:1: general.podman.${name}: is not a key of [general.podman]`,
    ]);
    assert.deepEqual(await problemsOf(`[general]\nexecutor = "${name}"\ndata_dir = "/ci"`), [
      `f:2:12: general.executor: "${name}" cannot be used; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"`,
    ]);
  }
  assert.deepEqual(await problemsOf("__proto__.general.executor = 'shell'"), [
    "f:1:1: __proto__: is not a known table",
    "f:1:1: general: is missing; expected the table [general] with executor and data_dir",
  ]);
});

test("checkConfiguration() never lets a file write to the terminal or a second log line", async () => {
  const [line] = await problemsOf(general('"a\\u001b[2J\\nb\\u202e" = 1'));
  assert.equal(line, 'f:4:1: general."a\\u001b[2J\\nb\\u{202e}": is not a key of [general]');
});

test("checkConfiguration() suggests the nearest key, also of another table, and nothing far away", async () => {
  const suggestionOf = async (name: string) => {
    const [problem] = (await checkConfiguration(general(`${name} = 1`), "f")).problems;
    return problem?.suggestion;
  };
  assert.equal(await suggestionOf("data_dri"), "data_dir");
  assert.equal(await suggestionOf("tls_ca_file"), "tls-ca-file");
  assert.equal(await suggestionOf("KILL_TIMEOUT"), "kill_timeout");
  assert.equal(await suggestionOf("image_allowlist"), "general.podman.image_allowlist");
  assert.equal(await suggestionOf("command_delay"), "batch.command_delay");
  assert.equal(await suggestionOf("colour"), undefined);
  assert.equal(await suggestionOf("x"), undefined);
  assert.equal(await suggestionOf("k".repeat(10_000)), undefined);
});

test("checkConfiguration() says of a value that people will try why it is refused", async () => {
  assert.deepEqual(await problemsOf('[general]\nexecutor = "cobalt"\ndata_dir = "/ci"'), [
    'f:2:12: general.executor: the executor "cobalt" is not supported and will not be; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"',
  ]);
});

test("checkConfiguration() knows every key of [auth] and [batch]", async () => {
  const text = general(`[auth]
downscope = "setuid"
jacamar_path = "/opt/jacamar"
user_allowlist = ["a"]
user_blocklist = []
groups_allowlist = []
groups_blocklist = []
shell_allowlist = ["/bin/bash"]
lists_pre_validation = true
root_dir_creation = true
pipeline_source_allowlist = ["push"]
allow_bot_accounts = false
jwt_required_aud = "x"
jwt_exp_delay = "5s"
downscope_env = ["A=b"]
max_env_chars = 10000
no_new_privs = false
[auth.runas]
validation_script = "/x"
sha256 = "${"a1".repeat(32)}"
user_variable = "RUNAS"
validation_env = ["A="]
[auth.logging]
enabled = true
level = "debug"
location = "/var/log/x"
network = "udp"
address = "host:514"
[auth.seccomp]
block_calls = ["ptrace"]
allow_calls = []
block_all = false
limit_setuid = true
disabled = false
[batch]
arguments_variable = ["A_B"]
scheduler_bin = "/opt/slurm"
env_vars = ["A=$B"]
command_delay = "1m"
nfs_timeout = "1m"
queue_timeout = "100h"
allow_illegal_args = true
`);
  assert.deepEqual(await problemsOf(text), []);
});

test("checkConfiguration() does not repeat a value that may be a secret", async () => {
  assert.match(
    String(await problemsOf(general('[batch]\nenv_vars = ["hunter2"]'))),
    /env_vars\[0\]: this value cannot/,
  );
});

test("checkConfiguration() refuses impossible values", async () => {
  const refused: Record<string, readonly string[]> = {
    data_dir: [
      '""',
      '"ci"',
      '"./ci"',
      '"/ci/../x"',
      '"/.."',
      '"$HOMEX"',
      '"~bob"',
      '"~bob/x"',
      '"$HOME/.."',
      '"/a:b"',
      '"/a\\n"',
    ],
    kill_timeout: ['"120"', '"-1s"', '"481h"', '""', "1.5", '"soon"'],
    shell_path: ['"bash"', '""', '"/bin/bash\\u0000"'],
    name: ['""', '"a\\nb"'],
    job_message: ['""', '"\\u0000"', "1"],
    group_permissions: ['"true"', "1"],
    run_mechanism: ['"docker"', '"Podman"', '""', "true"],
  };
  const refusedPodman: Record<string, readonly string[]> = {
    application_path: ['"podman"', '"./podman"'],
    runner_image: ['""', '"-v"', '"a b"', '"a\\u0007"'],
    default_image: ['"--privileged"'],
    runner_options: ['"--x"', '["a\\u0000b"]', "[1]"],
    user_entry_point: ["[[]]", '"/bin/sh"'],
    image_pull_policy: ['"sometimes"', '["always"]'],
    image_allowlist: ['"x"', '[""]', "[1]", `["${"x".repeat(4097)}"]`],
    user_volume_variable: ['""', '"1A"', '"A-B"', '"A B"', '"\u00c4"'],
    prep_script: ['"prep"'],
    archive_format: ['"zip"'],
  };
  const check = async (around: (text: string) => string, table: Record<string, readonly string[]>) => {
    for (const [name, values] of Object.entries(table)) {
      for (const value of values) {
        const text = around(`${name} = ${value}`).replace(/^data_dir = "\/ci"\n/m, name === "data_dir" ? "" : "$&");
        const problems = await problemsOf(text);
        assert.equal(problems.length, 1, `${name} = ${value}: ${problems.join()}`);
        assert.match(problems[0] ?? "", new RegExp(`\\.${name}(\\[0\\])?: .* cannot be used; expected `));
      }
    }
  };
  await check(general, refused);
  await check(podman, refusedPodman);
});

test("checkConfiguration() takes a data_dir that is absolute or in the user's home", async () => {
  for (const path of [
    "/",
    "/ci",
    "/ci/",
    "/a b/c",
    "$HOME",
    "$HOME/",
    "$HOME/.jacamar-ci",
    "~",
    "~/ci",
    "/a..b/..c",
    "/\u00e9",
  ]) {
    assert.deepEqual(await problemsOf(`[general]\nexecutor = "shell"\ndata_dir = "${path}"`), [], path);
  }
});

test("checkConfiguration() places mistakes of TOML and says what is right", async () => {
  const twice = "this key or table is already in the file; expected each one once";
  const noValue =
    "this is not a value; expected text in quotes, a number, true, false, a list in [ ] or a table in { }";
  const escape =
    "a backslash in double quotes starts an escape, and TOML does not know this one; expected single quotes '…', in which a backslash is only a backslash, or two backslashes";
  const structure = "a list or table goes on wrongly; expected a comma between two items, or the closing ] or }";
  const character =
    "a key cannot have this character; expected = after a key, ] after the name of a table; a key has letters, digits, _ and -, or stands in quotes";
  const cases: readonly (readonly [string, string])[] = [
    ["[general]\na = 1\nb = 2\na = 3", `f:4:1: ${twice}`],
    ["[general]\n[general]", `f:2:2: ${twice}`],
    ["general.a = 1\n[general]", `f:2:2: ${twice}`],
    ["a = {b = 1, b = 2}", "f:1:13: this key is already in the file; expected each one once"],
    ["a =\nb = 1", `f:1:4: ${noValue}`],
    ["\u00e9 = 1", `f:1:1: ${character}`],
    ["a: 1", `f:1:2: ${character}`],
    ["[general\n", `f:1:9: ${character}`],
    [
      'x = 1\na = "C:\\Users"',
      "f:2:10: \\u or \\U in double quotes starts the number of a character, and none follows; expected single quotes '…', in which a backslash is only a backslash, or two backslashes",
    ],
    ["x = 1\r\na = yes", `f:2:5: ${noValue}`],
    [
      'a = "x\nb = 1',
      "f:1:7: the line ends inside a text, or the text has a control character; expected the closing quote on the same line",
    ],
    ["a = 'x", "f:1:5: the text that starts here does not end; expected a closing quote"],
    ["a = [1, 2", `f:1:10: ${structure}`],
    ["a = {b = 1 c = 2}", `f:1:12: ${structure}`],
    ["a = 1 b = 2", "f:1:7: there is more after the value; expected the end of the line"],
    ['x = 1\na = "C:\\dir"', `f:2:8: ${escape}`],
    ["a = 10s", "f:1:7: this begins like a number and is none; expected a number, or text in quotes"],
    ["a = 99999999999999999999", "f:1:5: this is not TOML: integer value cannot be represented losslessly"],
    ["[]", "f:1:2: a key is missing; expected a name before = and inside of [ ]"],
    ["a", "f:1:1: a key stands here without a value; expected key = value"],
  ];
  for (const [text, expected] of cases) assert.deepEqual(await problemsOf(text), [expected], text);
});

test("checkConfiguration() reads \\/ as / only where it is an escape", async () => {
  const { config, warnings } = await checkConfiguration(
    podman(`prep_script = "\\/a\\\\/b\\/c" # "\\/"\ncustom_options = ['\\/', """\n\\/"""]`),
    "f",
  );
  assert.equal(config?.general.podman.prep_script, "/a\\/b/c");
  assert.deepEqual(config.general.podman.custom_options, ["\\/", "/"]);
  assert.deepEqual(
    warnings.map(({ line, column }) => [line, column]),
    [
      [6, 16],
      [6, 23],
      [8, 1],
    ],
  );
});

test("checkConfiguration() places what follows a \\/ in the text as it was written", async () => {
  assert.deepEqual(
    await problemsOf(podman('runner_options = ["\\/a\\/", 1, "\\/", 2]\nstep_script_only             = 1')),
    [
      "f:6:28: general.podman.runner_options[1]: 1 cannot be used; expected text in quotes, not empty",
      "f:6:37: general.podman.runner_options[3]: 2 cannot be used; expected text in quotes, not empty",
      "f:7:32: general.podman.step_script_only: 1 cannot be used; expected true or false, without quotes",
    ],
  );
  const [line] = await problemsOf(podman('runner_options = ["\\/", "\\q"]'));
  assert.match(line ?? "", /^f:6:26: a backslash/);
});

test("checkConfiguration() reads at most a hundred \\/", async () => {
  const slashes = (count: number) => podman(`runner_options = ["${"\\/".repeat(count)}"]`);
  assert.deepEqual(await problemsOf(slashes(100)), []);
  assert.match((await problemsOf(slashes(101))).join(), /^f:6:220: a backslash/);
});

test("checkConfiguration() warns of expressions that match more than they seem to", async () => {
  const list = `image_allowlist = ['^ok$', 'reg', '^reg', 'reg$', '^a|b$']`;
  assert.deepEqual(await warningsOf(podman(list)), [
    'f:6:28: general.podman.image_allowlist[1]: "reg" is not anchored with ^ and $: it also matches names that only contain such a name, as in "evil.example/<name>/x"',
    'f:6:35: general.podman.image_allowlist[2]: "^reg" is not anchored with $: it also matches names that begin with such a name, as in "<name>-of-others/x"',
    'f:6:43: general.podman.image_allowlist[3]: "reg$" is not anchored with ^: it also matches names that end with such a name, as in "evil.example/<name>"',
    'f:6:51: general.podman.image_allowlist[4]: "^a|b$" is not anchored with ^ and $: it also matches names that only contain such a name, as in "evil.example/<name>/x"',
  ]);
  assert.deepEqual(await warningsOf(podman("image_allowlist = []")), [
    "f:6:19: general.podman.image_allowlist: is empty, so that nothing is allowed",
  ]);
});

test("checkConfiguration() warns of keys without effect", async () => {
  assert.deepEqual(await warningsOf(general("force_mechanism = true\n[general.podman]")), [
    "f:4:1: general.force_mechanism: has no effect without general.run_mechanism",
    "f:5:10: general.podman: has no effect without general.run_mechanism",
  ]);
  assert.deepEqual(await warningsOf(general("force_mechanism = false")), []);
  assert.deepEqual(
    await warningsOf(
      podman('default_image = "a"\nrunner_options = ["a"]\nrunner_entry_point = ["a"]\nrunner_pull_policy = "never"'),
    ),
    [
      "f:6:1: general.podman.default_image: has no effect without general.force_mechanism",
      "f:7:1: general.podman.runner_options: has no effect without general.podman.runner_image",
      "f:8:1: general.podman.runner_entry_point: has no effect without general.podman.runner_image",
      "f:9:1: general.podman.runner_pull_policy: has no effect without general.podman.runner_image",
    ],
  );
});

test("checkConfiguration() never throws, and has a config or a problem with a place", async () => {
  const check = async (text: string) => {
    const { config, problems, warnings } = await checkConfiguration(text, "f");
    assert.equal(config === undefined, problems.length > 0);
    for (const problem of [...problems, ...warnings]) {
      assert.ok(problem.line >= 1 && problem.column >= 1);
      assert.doesNotMatch(formatProblem(problem), /\p{C}/u);
    }
  };
  const tokens = fc.constantFrom(
    ...`[ ] [[ ]] { } = . , " ' """ ''' \\ \\/ # general podman auth executor "shell" data_dir "/ci"`.split(" "),
    ...`image_allowlist __proto__ 1 true 2020-01-01 0x1 inf -0 1e400 99999999999999999999 ["("] "\\u0000"`.split(" "),
    "\n",
    "\r\n",
    " ",
    "\0",
    "\ud800",
    "\u00e9",
    "\ufeff",
  );
  await fc.assert(fc.asyncProperty(fc.string({ unit: "binary" }), check), { numRuns: 300 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(tokens, { maxLength: 40 }).map((all) => all.join("")),
      check,
    ),
    {
      numRuns: 1000,
    },
  );
  const values = fc.constantFrom(
    "1",
    '"x"',
    "[]",
    "[1]",
    '["a"]',
    "{}",
    "{ a = 1 }",
    "true",
    "1979-05-27",
    "nan",
    "[[[]]]",
  );
  const names = fc.constantFrom(
    ...`executor data_dir kill_timeout podman.tty podman.image_allowlist podman x "a.b" '~'.c`.split(" "),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(names, values)), (pairs) =>
      check(`[general]\n${pairs.map((pair) => pair.join(" = ")).join("\n")}`),
    ),
    { numRuns: 500 },
  );
  await check("[".repeat(100_000));
  await check(`a = ${"[".repeat(5000)}`);
  await check(general(`x = ${"[".repeat(900)}${"]".repeat(900)}`));
  await check(`${"a.".repeat(5000)}b = 1`);
});

function file(name: string, text: string | Buffer, mode = 0o600): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

async function failure(path: string): Promise<JacamarError> {
  try {
    await loadConfiguration(path);
  } catch (error) {
    assert.ok(error instanceof JacamarError, String(error));
    return error;
  }
  return assert.fail(`${path} was taken`);
}

async function refuses(path: string, code: ErrorCode, message: RegExp): Promise<void> {
  const error = await failure(path);
  assert.equal(error.code, code);
  assert.match(error.message, message);
}

test("loadConfiguration() reads a file, also through a symbolic link and with mode 0644", async () => {
  const path = file("good.toml", specification, 0o644);
  const link = join(directory, "link.toml");
  symlinkSync(path, link);
  for (const each of [path, link]) assert.equal((await loadConfiguration(each)).general.data_dir, "$HOME/.jacamar-ci");
});

test("loadConfiguration() throws all problems in one error, one to a line", async () => {
  const path = file("bad.toml", '[general]\nexecutor = "x"\ncolour = 1\n');
  const error = await failure(path);
  assert.equal(error.code, "config_invalid");
  assert.equal(error.blame, "site");
  assert.equal(
    error.message,
    [
      `${path}:1:2: general.data_dir: is missing; expected an absolute path, or one that starts with "$HOME" or "~", with no ".." and no ":" in it`,
      `${path}:2:12: general.executor: "x" cannot be used; expected one of "shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"`,
      `${path}:3:1: general.colour: is not a key of [general]`,
    ].join("\n"),
  );
});

test("loadConfiguration() refuses a file that is not there, no file, or not to be read", async () => {
  await refuses(join(directory, "missing.toml"), "config_unreadable", /missing\.toml": it does not exist$/);
  await refuses(join(file("plain.toml", ""), "below.toml"), "config_unreadable", /does not exist/);
  await refuses(directory, "config_unreadable", /it is not a regular file/);
  await refuses("/dev/null", "config_unreadable", /it is not a regular file/);
  const loop = join(directory, "loop.toml");
  symlinkSync(loop, loop);
  await refuses(loop, "config_unreadable", /circle/);
});

test("loadConfiguration() refuses a file that others can write", async () => {
  for (const mode of [0o620, 0o602, 0o666]) {
    await refuses(file("open.toml", specification, mode), "config_unreadable", /can write it \(mode 06\d\d\)/);
  }
});

test("loadConfiguration() refuses the file of another user", {
  skip: process.geteuid?.() !== 0 && "needs root",
}, async () => {
  const path = file("foreign.toml", specification);
  chownSync(path, 12_345, 0);
  await refuses(path, "config_unreadable", /belongs to the user id 12345/);
});

test("loadConfiguration() reads at most 1 MiB", async () => {
  const filled = (size: number) => general("").padEnd(size, "#");
  await loadConfiguration(file("large.toml", filled(1024 * 1024)));
  await refuses(file("larger.toml", filled(1024 * 1024 + 1)), "config_unreadable", /larger than 1 MiB/);
});

test("loadConfiguration() places what is not UTF-8", async () => {
  const path = file("latin1.toml", Buffer.from('[general]\nname = "caf\xe9"\n', "latin1"));
  await refuses(path, "config_invalid", /latin1\.toml:2:12: this is not UTF-8$/);
});

test("loadConfiguration() leaves no descriptor open", async () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const path = file("open2.toml", "", 0o666);
  const before = open();
  await refuses(path, "config_unreadable", /write/);
  assert.equal(open(), before);
});
