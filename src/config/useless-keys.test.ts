import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConfiguration } from "./load.ts";

/** The keys that have no effect, as `path: why`. */
async function useless(text: string, executor = "shell"): Promise<string[]> {
  const { problems, warnings } = await checkConfiguration(
    `[general]\nexecutor = "${executor}"\ndata_dir = "/x"\n${text}`,
    "f",
  );
  assert.deepEqual(problems, []);
  return warnings.filter(({ rule }) => rule === "no-effect").map(({ path, message }) => `${path}: ${message}`);
}

const podman = 'run_mechanism = "podman"\n[general.podman]\n';
const auth = 'gitlab_server = "https://g"\n[auth]\n';

test("uselessKeys() knows what each key needs", async () => {
  assert.deepEqual(await useless(""), []);
  assert.deepEqual(await useless('[batch]\nqueue_timeout = "1h"\n'), ['batch: has no effect with executor = "shell"']);
  assert.deepEqual(await useless('[batch]\nqueue_timeout = "1h"\n', "slurm"), []);
  assert.deepEqual(await useless(`${podman}step_script_only = true\nrunner_image = "a"\n`), [
    "general.podman.runner_image: has no effect with general.podman.step_script_only",
  ]);
  assert.deepEqual(await useless("static_dir_retention = 3\n"), [
    "general.static_dir_retention: has no effect without general.static_builds_dir",
  ]);
  assert.deepEqual(await useless(`${podman}archive_cache_size = "1GiB"\n`), [
    "general.podman.archive_cache_size: has no effect without general.podman.archive_format",
  ]);
  assert.deepEqual(await useless(`${podman}archive_cache_size = "1GiB"\n`, "slurm"), []);
});

test("uselessKeys() knows what decides among the keys of [auth]", async () => {
  assert.deepEqual(await useless(`${auth}user_allowlist = ["a"]\ngroups_allowlist = ["g"]\n`), [
    "auth.groups_allowlist: has no effect with auth.user_allowlist, which decides alone",
  ]);
  assert.deepEqual(await useless(`${auth}downscope = "setuid"\njacamar_path = "/x"\nlists_pre_validation = true\n`), [
    'auth.jacamar_path: has no effect without downscope = "sudo"',
    "auth.lists_pre_validation: has no effect without auth.runas.validation_script",
  ]);
  assert.deepEqual(
    await useless(`${auth}downscope = "sudo"\njacamar_path = "/x"\n[auth.runas]\nuser_variable = "A"\n`),
    ["auth.runas: has no effect without auth.runas.validation_script"],
  );
  assert.deepEqual(await useless(`${auth}[auth.logging]\nenabled = false\nlevel = "debug"\n`), [
    "auth.logging.level: has no effect with auth.logging.enabled = false",
  ]);
});

test("uselessKeys() tells a table, and not each of its keys", async () => {
  assert.deepEqual(await useless('[general.podman]\ndefault_image = "a"\nrunner_options = ["b"]\n'), [
    "general.podman: has no effect without general.run_mechanism",
  ]);
});

test("uselessKeys() knows how the keys of [auth.seccomp] go together", async () => {
  const seccomp = (text: string) => useless(`${auth}downscope = "setuid"\n[auth.seccomp]\n${text}`);
  assert.deepEqual(await seccomp('block_calls = ["a"]\nlimit_setuid = true\nblock_all = false\n'), []);
  assert.deepEqual(await seccomp('allow_calls = ["a"]\nblock_calls = ["a"]\n'), []);
  assert.deepEqual(await seccomp('disabled = true\nblock_calls = ["a"]\n'), [
    "auth.seccomp.block_calls: has no effect with auth.seccomp.disabled",
  ]);
  assert.deepEqual(await seccomp('block_all = false\nallow_calls = ["a"]\n'), [
    "auth.seccomp.allow_calls: has no effect with auth.seccomp.block_all = false",
  ]);
  assert.deepEqual(await seccomp("allow_calls = []\n"), [
    "auth.seccomp.allow_calls: has no effect while it is empty, without auth.seccomp.block_all",
  ]);
  assert.deepEqual(await seccomp('allow_calls = ["a"]\nblock_calls = ["b"]\n'), [
    "auth.seccomp.block_calls: has no effect where every call is blocked that auth.seccomp.allow_calls does not name",
  ]);
});
