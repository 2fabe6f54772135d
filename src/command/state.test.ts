import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { type Config, configSchema } from "../config/schema.ts";
import { isJobKey } from "../gitlab/job-key.ts";
import { packState, requireState, unpackState } from "./state.ts";

const variable = "JACAMAR_CI_STATE";
const jobKey = "4242-0123456789ab";
assert.ok(isJobKey(jobKey));

function configWith(podman: Record<string, unknown> = {}): Config {
  return v.parse(configSchema, { general: { executor: "shell", data_dir: "/ci", kill_timeout: "90s", podman } });
}

const workspace = {
  base: "/ci/a",
  buildsBase: "/ci/a",
  buildsDir: "/ci/a/builds/T/000",
  cacheDir: "/ci/a/cache",
  projectCacheDir: "/ci/a/cache/gr oup/deümo",
  projectDir: "/ci/a/builds/T/000/gr oup/deümo",
  scriptsDir: "/ci/a/scripts/1",
  privateDir: "/ci/a/scripts/1.private",
};
const state = { config: configWith({ image_allowlist: ["^a\nb\"'$"] }), workspace, jobKey };
const packed = packState(state)[variable] ?? "";
const missing = { name: "JacamarError", code: "state_missing" };

describe("packState() and unpackState()", () => {
  test("hand the state on as it is, on one line", () => {
    assert.deepEqual(unpackState({ [variable]: packed }), state);
    assert.doesNotMatch(packed, /[\n\0]/);
  });

  test("refuse a configuration that no environment can hold", () => {
    const config = configWith({
      image_allowlist: Array.from({ length: 5000 }, (_, index) => `^registry.example.com/${index}$`),
    });
    assert.throws(() => packState({ ...state, config }), {
      code: "config_invalid",
      message: /too long/,
      hint: /image_allowlist/,
    });
  });

  test("keep within what Linux takes for one variable", () => {
    const fits = configWith({ image_allowlist: Array.from({ length: 28 }, () => "x".repeat(4000)) });
    const text = packState({ ...state, config: fits })[variable] ?? "";
    assert.ok(Buffer.byteLength(`${variable}=${text}`) < 131_071);
  });

  test("take no state for none", () => {
    for (const environment of [{}, { [variable]: "" }, { [`CUSTOM_ENV_${variable}`]: packed }]) {
      assert.equal(unpackState(environment), undefined);
      assert.throws(() => requireState(environment), missing);
    }
  });

  test("refuse nonsense", () => {
    const data: unknown = JSON.parse(packed);
    assert.ok(typeof data === "object" && data !== null);
    const nonsense = [
      "x",
      "{}",
      "null",
      "[]",
      packed.slice(0, -1),
      JSON.stringify({ ...data, config: {} }),
      JSON.stringify({ ...data, config: "{}" }),
      JSON.stringify({ ...data, jobKey: "../x" }),
      JSON.stringify({ ...data, workspace: { ...workspace, scriptsDir: "relative" } }),
      JSON.stringify({ ...data, workspace: { ...workspace, privateDir: undefined } }),
    ];
    for (const text of nonsense) assert.throws(() => unpackState({ [variable]: text }), missing, text.slice(0, 80));
  });

  test("take no identity whose name could be an option or a number, or whose number is root's", () => {
    const identity = {
      name: "alice",
      uid: 1001,
      gid: 1001,
      downscope: "sudo",
      jacamarPath: "/opt/jacamar/bin/jacamar",
      environment: [],
      noNewPrivs: false,
    };
    const data: unknown = JSON.parse(packed);
    assert.ok(typeof data === "object" && data !== null);
    const textOf = (changes: object) => JSON.stringify({ ...data, identity: { ...identity, ...changes } });
    assert.deepEqual(unpackState({ [variable]: textOf({}) })?.identity, identity);
    const forged = ["#0", "#-1", "-u", "0", "a b", "", "../x", "a:b", 0].map((name) => ({ name }));
    for (const changes of [
      ...forged,
      { uid: 0 },
      { gid: 0 },
      { uid: 1.5 },
      { downscope: "su" },
      { jacamarPath: "x" },
    ]) {
      assert.throws(() => unpackState({ [variable]: textOf(changes) }), missing, JSON.stringify(changes));
    }
  });
});
