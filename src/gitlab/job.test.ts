import assert from "node:assert/strict";
import { ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../error/error.ts";
import { capture } from "../process/capture.ts";
import { isJobId, parseJob, projectSlug, readJob } from "./job.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-job-"));
after(() => rmSync(directory, { recursive: true }));

const secret = "glcbt-64_Secret";

/** As Go's encoder writes it (facts/gitlab-runner.md, part 2), with what a test changes. */
function response(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    id: 4242,
    token: secret,
    allow_git_fetch: true,
    job_info: {
      name: "unit",
      stage: "test",
      pipeline_id: 900,
      project_id: 17,
      project_name: "demo",
      project_full_path: "group/demo",
    },
    git_info: { repo_url: `https://gitlab-ci-token:${secret}@gitlab.example.com/group/demo.git`, refspecs: null },
    runner_info: { uuid: "", timeout: 3600 },
    inputs: {},
    variables: [{ key: "A", value: "b", public: true, file: true, masked: false, raw: false }],
    steps: [],
    image: {
      name: "debian:12",
      entrypoint: [""],
      pull_policy: ["always"],
      executor_opts: { docker: { platform: "linux/amd64", user: "1000:1000" }, kubernetes: { user: "" } },
    },
    services: [{ name: "postgres:16", alias: "db" }],
    artifacts: null,
    cache: null,
    credentials: [
      { type: "registry", url: "registry.example.com", username: "u", password: "p" },
      { type: "other", url: "registry.example.com", username: "u", password: "p" },
      { type: "registry", url: "", username: "u", password: "p" },
    ],
    dependencies: null,
    features: { trace_sections: true, failure_reasons: null },
    ...changes,
  };
}

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function invalid(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof JacamarError);
    assert.equal(error.code, "job_response_invalid");
    assert.match(error.message, message);
    assert.ok(!error.message.includes(secret), "the message holds the token");
    return true;
  };
}

describe("readJob()", () => {
  test("reads what the runner writes", () => {
    assert.deepEqual(readJob(write("whole.json", `${JSON.stringify(response())}\n`)), {
      id: "4242",
      token: secret,
      name: "unit",
      projectId: 17,
      pipelineId: 900,
      projectPath: "group/demo",
      projectSlug: "group/demo",
      image: {
        name: "debian:12",
        entrypoint: [""],
        pullPolicies: ["always"],
        platform: "linux/amd64",
        user: "1000:1000",
      },
      serviceNames: ["postgres:16"],
      variables: [{ key: "A", value: "b", file: true, masked: false }],
      credentials: [{ type: "registry", url: "registry.example.com", username: "u", password: "p" }],
      timeoutSeconds: 3600,
      traceSections: true,
    });
  });

  test("refuses a file that is missing, naming it", () => {
    assert.throws(() => readJob(join(directory, "missing")), invalid(/missing": ENOENT/));
  });

  test("refuses a symbolic link", () => {
    symlinkSync(write("target.json", JSON.stringify(response())), join(directory, "link"));
    assert.throws(() => readJob(join(directory, "link")), invalid(/ELOOP/));
  });

  test("refuses a directory", () => {
    mkdirSync(join(directory, "directory"));
    assert.throws(() => readJob(join(directory, "directory")), invalid(/not a regular file/));
  });

  test("refuses a named pipe and does not wait for a writer", { timeout: 60_000 }, async () => {
    const path = join(directory, "pipe");
    await capture({ argv: ["/usr/bin/mkfifo", path], environment: {}, workingDirectory: "/" }, { timeoutSeconds: 5 });
    assert.throws(() => readJob(path), invalid(/not a regular file/));
  });

  test("refuses a huge file without reading it", () => {
    const path = join(directory, "huge");
    ftruncateSync(openSync(path, "w"), 2 ** 40);
    assert.throws(() => readJob(path), invalid(/has 1099511627776 bytes, more than/));
  });

  test("refuses a file that was cut off anywhere, and quotes nothing of it", () => {
    const text = JSON.stringify(response());
    for (let length = 0; length < text.length; length += 1) {
      assert.throws(() => parseJob(text.slice(0, length)), invalid(/is not JSON \([0-9]+ characters\)/));
    }
  });

  test("refuses what is not JSON, and JSON that is no job", () => {
    assert.throws(() => readJob(write("xml", `<a>${secret}</a>`)), invalid(/not JSON/));
    for (const json of ["null", "[]", "17", '"x"', "{}"]) assert.throws(() => parseJob(json), invalid(/no valid/));
  });
});

describe("parseJob()", () => {
  test("takes null and absent parts as Go writes the empty ones", () => {
    const job = parseJob(
      JSON.stringify({
        id: 1,
        token: "t",
        job_info: { name: "", project_id: 2, pipeline_id: null },
        git_info: { repo_url: null },
        runner_info: null,
        variables: null,
        image: { name: "", executor_opts: { docker: null } },
        services: null,
        credentials: null,
        features: null,
      }),
    );
    assert.equal(job.image, undefined);
    assert.equal(job.projectSlug, "project-2");
    assert.deepEqual([job.variables, job.credentials, job.serviceNames], [[], [], []]);
    assert.deepEqual([job.timeoutSeconds, job.traceSections, job.pipelineId], [0, false, 0]);
    assert.equal(job.projectPath, "");
    const bare = parseJob(JSON.stringify({ id: 1, token: "t", job_info: { project_id: 2 }, git_info: {} }));
    assert.deepEqual(bare, job);
  });

  test("takes an empty entrypoint for none", () => {
    for (const entrypoint of [[], null, undefined]) {
      assert.equal(
        parseJob(JSON.stringify(response({ image: { name: "x", entrypoint } }))).image?.entrypoint,
        undefined,
      );
    }
  });

  const wrong: [string, Record<string, unknown>][] = [
    ["id", { id: "4242" }],
    ["id", { id: 0 }],
    ["id", { id: -1 }],
    ["id", { id: 1.5 }],
    ["id", { id: null }],
    // The next number that JavaScript can hold is another job's.
    ["id", { id: 2 ** 53 }],
    ["token", { token: 5 }],
    ["job_info", { job_info: null }],
    ["job_info.project_id", { job_info: { project_id: "17" } }],
    ["job_info.project_full_path", { job_info: { project_id: 17, project_full_path: ["group/demo"] } }],
    ["git_info", { git_info: "x" }],
    ["variables.0.key", { variables: [{ key: null, value: "x" }] }],
    ["variables.0.value", { variables: [{ key: "A", value: { secret } }] }],
    ["image.entrypoint", { image: { name: "x", entrypoint: "sh" } }],
    ["image.entrypoint.1", { image: { name: "x", entrypoint: ["sh", 1] } }],
    ["image.name", { image: { name: ["x"] } }],
    ["credentials", { credentials: { a: 1 } }],
  ];
  for (const [where, change] of wrong) {
    test(`refuses ${JSON.stringify(change)}, naming ${where}`, () => {
      assert.throws(
        () => parseJob(JSON.stringify(response(change))),
        invalid(new RegExp(`no valid ${where.replaceAll(".", "\\.")}`)),
      );
    });
  }

  test("names only the first of many wrong places", () => {
    const variables = Array.from({ length: 1000 }, () => ({ key: 1 }));
    assert.throws(() => parseJob(JSON.stringify(response({ variables }))), invalid(/^.{1,200}, and 995 more$/));
  });

  test("is not confused by __proto__", () => {
    const job = parseJob(JSON.stringify(response()).replace('"inputs"', '"__proto__":{"image":null},"inputs"'));
    assert.equal(job.image?.name, "debian:12");
  });
});

describe("projectSlug()", () => {
  // What the runner (ProjectSlug, ProjectUniqueDir) was seen to make of these.
  const table: [string, string][] = [
    ["https://h/gr%20oup/de%C3%BCmo.git", "gr oup/deümo"],
    ["https://h/a%2Fb/..%2fc.git", "a/c"],
    ["https://h/a/%zz.git", "project-17"],
    ["https://h/a/x..y.git/", "project-17"],
    ["/srv/repos/demo.git", "project-17"],
    ["file:///srv/demo.git", "project-17"],
    ["https://h/%2e%2e/x.git", "x"],
    ["https://h/a/x.git/", "a/x.git"],
    ["https://h/a/x+y.git", "a/x+y"],
    ["https://h/a/\nx.git", "project-17"],
    ["git@h:a/b.git", "project-17"],
    ["http://h", "project-17"],
    ["http://h/", "project-17"],
    ["", "project-17"],
    ["https://user:to@ken@h/group/demo.git", "group/demo"],
    ["https://user@/group/demo.git", "project-17"],
    ["https://h:8443/g/p.git?x=/y#/z", "g/p"],
  ];
  for (const [url, slug] of table) {
    test(`makes ${slug} of ${JSON.stringify(url)}`, () => assert.equal(projectSlug(url, 17), slug));
  }

  test("refuses what would break a path or a volume", () => {
    for (const path of ["a/x%00y", "a/x%0Ay", "a/x:y", "a/x%1B[2J", "a/x%C2%85"]) {
      assert.throws(() => projectSlug(`https://h/${path}`, 17), invalid(/characters that no project path has/));
    }
  });

  test("never goes up, never begins with a slash, and holds no control character", () => {
    const pieces = fc.constantFrom(
      "..",
      ".",
      "/",
      "%2e",
      "%2f",
      "%00",
      "%0a",
      "a",
      ".git",
      "%",
      "\\",
      "%C2%9B",
      "@",
      "?",
    );
    const path = fc.oneof(
      fc.string(),
      fc.array(pieces).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.constantFrom("https://h/", "ssh://u@h", "", "http://h//"), path, (start, rest) => {
        let slug: string;
        try {
          slug = projectSlug(start + rest, 17);
        } catch (error) {
          return invalid(/characters/)(error);
        }
        assert.doesNotMatch(slug, /^\/|\.\.|\/\/|\/$|^$|:|\p{Cc}/u);
        return true;
      }),
      { numRuns: 2000 },
    );
  });
});

test("isJobId() takes digits alone", () => {
  for (const id of ["1", "4242", "9223372036854775807"]) assert.ok(isJobId(id));
  for (const id of ["", "0", "01", "-1", "1\n", " 1", "1e3", "1/..", "10000000000000000000"]) assert.ok(!isJobId(id));
});
