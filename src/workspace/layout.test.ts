import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isJobId } from "../gitlab/job.ts";
import { baseDirectory, type LayoutInput, layOut } from "./layout.ts";

const account = { name: "alice", uid: 1001, gid: 1001, home: "/home/alice", shell: "/bin/bash" };
const jobId = "4242";
assert.ok(isJobId(jobId));

const input: LayoutInput = {
  account,
  dataDir: "/scratch/ci",
  runnerShortToken: { name: "CI_RUNNER_SHORT_TOKEN", text: "Ab-_9" },
  concurrentId: { name: "CI_CONCURRENT_ID", text: "7" },
  projectSlug: "group/demo",
  jobId,
  customBuildsDir: undefined,
  staticBuilds: undefined,
};

const custom = (text: string) => ({ ...input, customBuildsDir: { name: "CUSTOM_CI_BUILDS_DIR", text } });

describe("layOut()", () => {
  test("lays the job out as Jacamar CI does", () => {
    assert.deepEqual(layOut(input), {
      base: "/scratch/ci/alice",
      buildsBase: "/scratch/ci/alice",
      buildsDir: "/scratch/ci/alice/builds/Ab-_9/007",
      cacheDir: "/scratch/ci/alice/cache",
      projectCacheDir: "/scratch/ci/alice/cache/group/demo",
      projectDir: "/scratch/ci/alice/builds/Ab-_9/007/group/demo",
      scriptsDir: "/scratch/ci/alice/scripts/Ab-_9/007/group/demo/4242",
      privateDir: "/scratch/ci/alice/scripts/Ab-_9/007/group/demo/4242.private",
    });
  });

  test("has three digits for the slot, and more where there are more", () => {
    for (const [text, slot] of Object.entries({ "0": "000", "42": "042", "1234": "1234" })) {
      const layout = layOut({ ...input, concurrentId: { name: "CI_CONCURRENT_ID", text } });
      assert.equal(layout.buildsDir, `/scratch/ci/alice/builds/Ab-_9/${slot}`);
    }
  });

  test("has the same builds directory for a project in every slot, and one for each of its jobs that run at once", () => {
    const builds = (text: string, slot: string, projectId = 17) =>
      layOut({
        ...input,
        concurrentId: { name: "CI_CONCURRENT_ID", text: slot },
        staticBuilds: { projectId, concurrentProjectId: { name: "CI_CONCURRENT_PROJECT_ID", text } },
      });
    for (const slot of ["0", "7"]) {
      assert.equal(builds("0", slot).buildsDir, "/scratch/ci/alice/builds/Ab-_9/project-17");
      assert.equal(builds("0", slot).projectDir, "/scratch/ci/alice/builds/Ab-_9/project-17/group/demo");
      assert.equal(builds("1", slot).buildsDir, "/scratch/ci/alice/builds/Ab-_9/project-17-1");
    }
    // Scripts and credentials are of the job alone, as ever.
    assert.equal(builds("0", "7").scriptsDir, layOut(input).scriptsDir);
    for (const text of ["", "-1", "../x", "1/2", "x"]) {
      assert.throws(() => builds(text, "0"), { code: "variable_invalid", message: /CI_CONCURRENT_PROJECT_ID/ });
    }
    for (const projectId of [0, -1, 1.5, 1e300]) {
      assert.throws(() => builds("0", "0", projectId), { code: "runner_contract" });
    }
  });

  test("keeps the runner's path of a project in builds and cache, and a plain one for our own files", () => {
    const layout = layOut({ ...input, projectSlug: "gr oup/deümo$(id)'" });
    assert.equal(layout.projectDir, "/scratch/ci/alice/builds/Ab-_9/007/gr oup/deümo$(id)'");
    assert.equal(layout.projectCacheDir, "/scratch/ci/alice/cache/gr oup/deümo$(id)'");
    assert.equal(layout.scriptsDir, "/scratch/ci/alice/scripts/Ab-_9/007/gr%20oup/de%c3%bcmo%24%28id%29%27/4242");
  });

  test("keeps what no container sees out of what containers see", () => {
    const { privateDir, scriptsDir, buildsDir, projectCacheDir } = layOut(input);
    for (const seen of [scriptsDir, buildsDir, projectCacheDir]) assert.ok(!privateDir.startsWith(`${seen}/`));
  });

  for (const text of ["", "..", "a/b", "a b", "a.b", "x".repeat(65), "a\n", "$(id)", "a:b", "ü"]) {
    test(`refuses ${JSON.stringify(text.slice(0, 20))} as the runner's token`, () => {
      assert.throws(() => layOut({ ...input, runnerShortToken: { name: "CI_RUNNER_SHORT_TOKEN", text } }), {
        code: "variable_invalid",
        message: /CI_RUNNER_SHORT_TOKEN/,
        hint: /Remove CI_RUNNER_SHORT_TOKEN/,
      });
    });
  }

  for (const text of ["", "-1", "1.5", "0x1", "1/../..", "1\n", " 1", "1234567890", "٣"]) {
    test(`refuses ${JSON.stringify(text)} as the job's slot`, () => {
      const hostile = { ...input, concurrentId: { name: "CI_CONCURRENT_ID", text } };
      assert.throws(() => layOut(hostile), { code: "variable_invalid", message: /CI_CONCURRENT_ID/ });
    });
  }

  test("refuses a runner that gives neither", () => {
    assert.throws(() => layOut({ ...input, runnerShortToken: undefined }), { code: "runner_contract" });
    assert.throws(() => layOut({ ...input, concurrentId: undefined }), { code: "runner_contract" });
  });

  test("puts the builds, and only the builds, where the user asks", () => {
    for (const [text, root] of Object.entries({
      "/lustre/x": "/lustre/x",
      " /lustre//x/./y/ \n": "/lustre/x/y",
      "~/b": "/home/alice/b",
      "$HOME/b": "/home/alice/b",
      "${HOME}": "/home/alice",
      "/a b/ü": "/a b/ü",
      "/$HOME": "/$HOME",
    })) {
      const layout = layOut(custom(text));
      assert.equal(layout.buildsBase, root);
      assert.equal(layout.buildsDir, `${root}/Ab-_9/007`);
      assert.equal(layout.projectDir, `${root}/Ab-_9/007/group/demo`);
      assert.equal(layout.scriptsDir, layOut(input).scriptsDir);
      assert.equal(layout.cacheDir, layOut(input).cacheDir);
    }
  });

  for (const text of [
    "",
    " ",
    "\n",
    "b",
    "../b",
    "/a/../b",
    "~bob/x",
    "$HOMEX",
    "$(id)",
    "/a:/b",
    "/a\nb",
    "/a\0b",
    "/",
  ]) {
    test(`refuses ${JSON.stringify(text)} as a builds directory, as the job's own fault`, () => {
      assert.throws(() => layOut(custom(text)), { code: "builds_dir_invalid", message: /CUSTOM_CI_BUILDS_DIR/ });
    });
  }

  test("never leaves its directories, whatever the variables hold", () => {
    const part = fc.oneof(fc.string(), fc.constantFrom("..", "/", "~", "$HOME", "a", ":", "\n"));
    const text = fc.array(part, { maxLength: 5 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, text, (token, slot, builds) => {
        let layout: ReturnType<typeof layOut>;
        try {
          layout = layOut({
            ...custom(`/${builds}`),
            runnerShortToken: { name: "T", text: token },
            concurrentId: { name: "S", text: slot },
          });
        } catch {
          return;
        }
        for (const path of Object.values<string>({ ...layout }))
          assert.doesNotMatch(path, /\/\.\.?(?:\/|$)|\/\/|[\n\r\0:]|^[^/]/);
        assert.ok(layout.scriptsDir.startsWith("/scratch/ci/alice/scripts/"));
      }),
    );
  });
});

describe("baseDirectory()", () => {
  const table: [string, string][] = [
    ["$HOME", "/home/alice"],
    ["~", "/home/alice"],
    ["${HOME}", "/home/alice"],
    ["$HOME/.jacamar-ci", "/home/alice/.jacamar-ci"],
    ["~/ci//x/./y/", "/home/alice/ci/x/y"],
    ["/home/alice/ci", "/home/alice/ci"],
    ["/home/alice", "/home/alice"],
    ["/home/alice2", "/home/alice2/alice"],
    ["/home", "/home/alice"],
    ["/scratch/", "/scratch/alice"],
    ["/", "/alice"],
    ["/x/~", "/x/~/alice"],
    ["/x/$HOME", "/x/$HOME/alice"],
  ];
  for (const [dataDir, base] of table) {
    test(`makes ${base} of ${dataDir}`, () => assert.equal(baseDirectory(dataDir, account), base));
  }

  test("takes a home with a slash at its end", () => {
    assert.equal(baseDirectory("~/ci", { ...account, home: "/home/alice/" }), "/home/alice/ci");
  });

  test("gives an account without a home of its own a directory of its own", () => {
    assert.equal(baseDirectory("~/ci", { ...account, home: "/" }), "/ci/alice");
    assert.equal(baseDirectory("/ci", { ...account, home: "/" }), "/ci/alice");
  });

  test("takes a home for a text, not for a pattern of a replacement", () => {
    assert.equal(baseDirectory("$HOME/x", { ...account, home: "/h/$&$1" }), "/h/$&$1/x");
  });
});
