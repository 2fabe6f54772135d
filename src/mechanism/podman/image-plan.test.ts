import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { compilePattern, matchesAny } from "../../config/patterns.ts";
import { type Config, configSchema } from "../../config/schema.ts";
import { type Job, parseJob } from "../../gitlab/job.ts";
import { toStage } from "../../gitlab/stage.ts";
import { type Allowed, imageOfStage, type ImagePlan, planImages } from "./image-plan.ts";

function configWith(podman: Record<string, unknown> = {}, general: Record<string, unknown> = {}): Config {
  const required = { executor: "shell", data_dir: "/ci", run_mechanism: "podman" };
  return v.parse(configSchema, { general: { ...required, ...general, podman } });
}

function jobWith(image?: Record<string, unknown> | string): Job {
  const written = typeof image === "string" ? { name: image } : (image ?? { name: "" });
  return parseJob(JSON.stringify({ id: 1, token: "T", job_info: { project_id: 2 }, git_info: {}, image: written }));
}

const allow = (...patterns: string[]): Allowed => {
  const compiled = patterns.map((pattern) => compilePattern(pattern));
  return (spellings) => matchesAny(compiled, spellings);
};

function userPlan(image: Record<string, unknown> | string, podman: Record<string, unknown> = {}): ImagePlan {
  const plan = planImages(jobWith(image), configWith(podman), undefined).user;
  assert.ok(plan);
  return plan;
}

describe("planImages()", () => {
  const forced = { force_mechanism: true };
  const both = { default_image: "site/default", runner_image: "site/runner" };

  test("runs on the host without the mechanism, whatever else is set", () => {
    const config = v.parse(configSchema, { general: { executor: "shell", data_dir: "/ci", ...forced, podman: both } });
    for (const image of [undefined, "debian", "--privileged"]) {
      assert.deepEqual(planImages(jobWith(image), config, undefined), {
        user: undefined,
        runner: undefined,
        stepScriptOnly: false,
      });
    }
  });

  test("runs on the host where the job names no image, and nothing is forced", () => {
    const plan = planImages(jobWith(), configWith({ ...both, step_script_only: true }), undefined);
    assert.deepEqual(plan, { user: undefined, runner: undefined, stepScriptOnly: false });
  });

  const table: [
    image: string | undefined,
    general: object,
    podman: object,
    user: string | undefined,
    runner: string | undefined,
  ][] = [
    ["debian", {}, {}, "debian", undefined],
    ["debian", {}, both, "debian", "site/runner"],
    ["debian", forced, both, "debian", "site/runner"],
    ["debian", forced, {}, "debian", undefined],
    [undefined, forced, both, "site/default", "site/runner"],
    [undefined, forced, { default_image: "site/default" }, "site/default", undefined],
    ["debian", {}, { ...both, step_script_only: true }, "debian", undefined],
    [undefined, forced, { ...both, step_script_only: true }, "site/default", undefined],
  ];
  for (const [image, general, podman, user, runner] of table) {
    test(`uses ${user} and ${runner} for ${image} with ${JSON.stringify({ ...general, ...podman })}`, () => {
      const images = planImages(jobWith(image), configWith({ ...podman }, { ...general }), undefined);
      assert.deepEqual([images.user?.name, images.runner?.name], [user, runner]);
      assert.equal(images.user?.role, "user");
      assert.equal(images.runner?.role, runner === undefined ? undefined : "runner");
    });
  }

  test("refuses a forced job without an image where there is no default", () => {
    assert.throws(() => planImages(jobWith(), configWith({}, forced), undefined), {
      code: "image_missing",
      message: /names no image/,
      hint: /image: docker\.io/,
    });
  });

  test("refuses what is no image, with and without an allowlist", () => {
    for (const image of [
      "--privileged",
      "-v/:/host",
      "x y",
      "$(id)",
      "x\n",
      "dir:x",
      "oci:latest",
      "x".repeat(10_240),
    ]) {
      for (const allowed of [undefined, allow(".*")]) {
        assert.throws(() => planImages(jobWith(image), configWith(), allowed), { code: "image_name_invalid" }, image);
      }
    }
  });

  describe("image_allowlist", () => {
    const rows: [pattern: string, image: string, allowed: boolean][] = [
      ["^docker\\.io/library/debian:12$", "debian:12", true],
      ["^docker\\.io/library/debian:12$", "docker.io/debian:12", true],
      ["^docker\\.io/library/debian:12$", "index.docker.io/library/debian:12", true],
      ["^debian:12$", "docker.io/library/debian:12", true],
      ["^debian$", "debian:latest", true],
      ["^debian:latest$", "debian", true],
      ["^debian$", "debian:12", false],
      ["^debian:12$", "evil.example/debian:12", false],
      ["^debian:12$", "evil/debian:12", false],
      ["^registry\\.example\\.com/group/.*$", "registry.example.com/group/app:1", true],
      ["^registry\\.example\\.com/group/.*$", "Registry.Example.COM/group/app:1", true],
      ["^registry\\.example\\.com/group/.*$", "evil.example/registry.example.com/group/app", false],
      ["^registry\\.example\\.com/group/.*$", "registryxexample.com/group/app", false],
      ["registry\\.example\\.com/group/", "evil.example/registry.example.com/group/app", true],
      ["^localhost/", "localhost/app", true],
      ["^localhost/", "app", false],
      ["^localhost/", "docker.io/localhost/app", false],
      ["^registry\\.example\\.com/", "docker.io/registry.example.com/app", false],
      ["^registry\\.example\\.com/", "library/registry.example.com/app", false],
      ["^docker\\.io/group/", "docker.io/library/group/app", false],
      ["^foo/bar$", "r.io/foo/bar", false],
    ];
    for (const [pattern, image, allowed] of rows) {
      test(`${allowed ? "allows" : "refuses"} ${image} for ${pattern}`, () => {
        const config = configWith({ image_allowlist: [pattern] });
        const plan = () => planImages(jobWith(image), config, allow(pattern));
        if (allowed) assert.equal(plan().user?.name, image);
        else assert.throws(plan, { code: "image_refused", hint: `Allowed are images that match: ${pattern}` });
      });
    }

    test("pulls the image that it has looked at, not what a short name may mean on the machine", () => {
      const image = planImages(jobWith("debian:12"), configWith(), allow("debian")).user;
      assert.equal(image?.pullName, "docker.io/library/debian:12");
      assert.equal(userPlan("debian:12").pullName, "debian:12");
    });

    test("allows nothing where it is empty", () => {
      assert.throws(() => planImages(jobWith("x"), configWith({ image_allowlist: [] }), allow()), {
        code: "image_refused",
      });
    });

    test("says under which full name a short one was refused", () => {
      const plan = () => planImages(jobWith("debian"), configWith(), allow("^x$"));
      assert.throws(plan, { message: /"debian" \(docker\.io\/library\/debian\) is not among those/ });
    });

    test("does not ask about the administrator's own images", () => {
      const config = configWith(both, forced);
      const images = planImages(jobWith(), config, () => false);
      assert.deepEqual([images.user?.name, images.runner?.name], ["site/default", "site/runner"]);
      assert.throws(() => planImages(jobWith("site/default"), config, () => false), { code: "image_refused" });
    });
  });

  describe("pull policies", () => {
    const rows: [podman: object, asked: string[], user: string[], runner: string[]][] = [
      [{}, [], ["always"], ["missing"]],
      [{}, ["if-not-present"], ["missing"], ["missing"]],
      [{}, ["always", "never"], ["always", "never"], ["missing"]],
      [{ image_pull_policy: "never" }, [], ["never"], ["missing"]],
      [{ image_pull_policy: "if-not-present" }, ["if-not-present"], ["missing"], ["missing"]],
      [{ image_pull_policy: "never", runner_pull_policy: "newer" }, [], ["never"], ["newer"]],
      [{ runner_pull_policy: "always" }, ["never"], ["never"], ["always"]],
    ];
    for (const [podman, asked, user, runner] of rows) {
      test(`tries ${user.join()} and ${runner.join()} for [${asked.join()}] with ${JSON.stringify(podman)}`, () => {
        const config = configWith({ runner_image: "r", ...podman });
        const images = planImages(jobWith({ name: "x", pull_policy: asked }), config, undefined);
        assert.deepEqual([images.user?.pullPolicies, images.runner?.pullPolicies], [user, runner]);
      });
    }

    test("refuses a policy that the site does not allow", () => {
      const plan = () => userPlan({ name: "x", pull_policy: ["never"] }, { image_pull_policy: "always" });
      assert.throws(plan, { code: "pull_policy_refused" });
    });

    test("gives the default image the site's policy", () => {
      const policies = (podman: object) =>
        planImages(jobWith(), configWith({ default_image: "d", ...podman }, forced), undefined).user?.pullPolicies;
      assert.deepEqual(policies({}), ["always"]);
      assert.deepEqual(policies({ image_pull_policy: "never" }), ["never"]);
    });
  });

  describe("entrypoints", () => {
    const rows: [podman: object, asked: string[] | null, used: string[] | undefined][] = [
      [{}, null, undefined],
      [{}, [], undefined],
      [{}, [""], [""]],
      [{}, ["/entry", "-x"], ["/entry", "-x"]],
      [{ user_entry_point: [] }, ["/entry"], ["/entry"]],
      [{ user_entry_point: ["/site"] }, null, ["/site"]],
      [{ user_entry_point: ["/site"] }, ["/entry"], ["/site"]],
      [{ user_entry_point: ["/site"] }, ["\0"], ["/site"]],
      [{ runner_entry_point: ["/runner"] }, null, undefined],
    ];
    for (const [podman, asked, used] of rows) {
      test(`uses ${JSON.stringify(used)} for ${JSON.stringify(asked)} with ${JSON.stringify(podman)}`, () => {
        assert.deepEqual(userPlan({ name: "x", entrypoint: asked }, { ...podman }).entrypoint, used);
      });
    }

    test("gives each image its own", () => {
      const podman = { runner_image: "r", runner_entry_point: ["/runner"], user_entry_point: ["/site"] };
      const images = planImages(jobWith("x"), configWith(podman), undefined);
      assert.deepEqual([images.runner?.entrypoint, images.user?.entrypoint], [["/runner"], ["/site"]]);
    });

    test("refuses one that no program can be given", () => {
      for (const entrypoint of [["a\0b"], ["x".repeat(100_000)], Array<string>(40_000).fill("")]) {
        assert.throws(() => userPlan({ name: "x", entrypoint }), {
          code: "image_options_invalid",
          message: /entrypoint/,
        });
      }
    });
  });

  test("gives each image the administrator's options for it", () => {
    const podman = { runner_image: "r", runner_options: ["--a"], custom_options: ["--b"] };
    const images = planImages(jobWith("x"), configWith(podman), undefined);
    assert.deepEqual([images.runner?.options, images.user?.options], [["--a"], ["--b"]]);
  });

  describe("user and platform", () => {
    const withDocker = (docker: Record<string, string>) => userPlan({ name: "x", executor_opts: { docker } });
    const users: [string, { uid: number; gid: number } | undefined][] = [
      ["", undefined],
      ["root", undefined],
      ["root:root", undefined],
      ["0", undefined],
      ["0:0", undefined],
      ["1000", { uid: 1000, gid: 1000 }],
      ["1000:100", { uid: 1000, gid: 100 }],
      ["0:100", { uid: 0, gid: 100 }],
    ];
    for (const [user, expected] of users) {
      test(`reads the user ${JSON.stringify(user)}`, () => assert.deepEqual(withDocker({ user }).user, expected));
    }
    for (const user of [
      "alice",
      "-1",
      "1000:",
      ":1000",
      "1000:1:2",
      "1 0",
      "1000\n",
      "1e3",
      "0x10",
      "1234567890",
      "1,gid=0",
    ]) {
      test(`refuses the user ${JSON.stringify(user)}`, () => {
        assert.throws(() => withDocker({ user }), { code: "image_options_invalid", message: /The user/ });
      });
    }
    for (const platform of ["", "linux/arm64", "linux/arm64/v8", "linux/riscv64"]) {
      test(`takes the platform ${JSON.stringify(platform)}`, () =>
        assert.equal(withDocker({ platform }).platform, platform));
    }
    for (const platform of [
      "linux",
      "linux/",
      "/amd64",
      "linux/a/b/c",
      "linux/amd64 --privileged",
      "linux/amd64\n",
      "$ARCH",
      "x".repeat(1e4),
    ]) {
      test(`refuses the platform ${JSON.stringify(platform.slice(0, 40))}`, () => {
        assert.throws(() => withDocker({ platform }), {
          code: "image_options_invalid",
          message: /^The platform .{1,100}/,
        });
      });
    }
    test("gives neither to the administrator's own images", () => {
      const config = configWith({ ...both }, forced);
      const images = planImages(jobWith(), config, undefined);
      for (const plan of [images.user, images.runner]) assert.deepEqual([plan?.user, plan?.platform], [undefined, ""]);
    });
  });
});

describe("imageOfStage()", () => {
  const images = (podman: object) => planImages(jobWith("user"), configWith({ ...podman }), undefined);
  const runnerStages = ["prepare_script", "get_sources", "restore_cache", "upload_artifacts_on_success", "tomorrow"];
  const userSteps = ["build_script", "step_script", "step_release"];

  const table: [podman: object, stages: string[], image: string | undefined][] = [
    [{ runner_image: "runner" }, runnerStages, "runner"],
    [{ runner_image: "runner" }, [...userSteps, "after_script"], "user"],
    [{}, runnerStages, undefined],
    [{}, [...userSteps, "after_script"], "user"],
    [{ runner_image: "runner", step_script_only: true }, userSteps, "user"],
    [{ runner_image: "runner", step_script_only: true }, [...runnerStages, "after_script"], undefined],
  ];
  for (const [podman, stages, image] of table) {
    test(`runs ${stages.join(", ")} in ${image ?? "no image"} with ${JSON.stringify(podman)}`, () => {
      for (const stage of stages) assert.equal(imageOfStage(images(podman), toStage(stage))?.name, image, stage);
    });
  }
});
