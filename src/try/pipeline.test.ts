import assert from "node:assert/strict";
import test from "node:test";
import { JacamarError } from "../error/error.ts";
import { type Pipeline, readPipeline } from "./pipeline.ts";
import { valueOf } from "./variables.ts";

function read(text: string, files: Readonly<Record<string, string>> = {}): Pipeline {
  return readPipeline({ file: ".gitlab-ci.yml", text, readLocal: (path) => files[path] });
}

function job(pipeline: Pipeline, name: string) {
  const found = pipeline.jobs.find((one) => one.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

/** The message of the refusal, with the hint. */
function refusal(text: string, files: Readonly<Record<string, string>> = {}): string {
  try {
    read(text, files);
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    assert.equal(error.code, "pipeline_invalid");
    return `${error.message}${error.hint === undefined ? "" : ` | ${error.hint}`}`;
  }
  return assert.fail("it was accepted");
}

test("readPipeline() reads the specification's example", () => {
  const pipeline = read(`
stages:
  - host
  - container

after_script:
  - whoami

hello-host:
  stage: host
  script:
    - cat /etc/os-release
    - date >> date.txt
  artifacts:
    paths:
      - date.txt

hello-container:
  stage: container
  image: registry.access.redhat.com/ubi9/ubi-minimal:latest
  # variables:
    # PODMAN_VOLUMES_0: ???:/opt/scratch:z
  script:
    - cat date.txt
`);
  assert.deepEqual(pipeline.warnings, []);
  assert.deepEqual(
    pipeline.jobs.map(({ name, stage }) => [name, stage]),
    [
      ["hello-host", "host"],
      ["hello-container", "container"],
    ],
  );
  const host = job(pipeline, "hello-host");
  assert.deepEqual(host.script, ["cat /etc/os-release", "date >> date.txt"]);
  assert.deepEqual(host.afterScript, ["whoami"]);
  assert.deepEqual(host.artifacts?.paths, ["date.txt"]);
  assert.equal(job(pipeline, "hello-container").image?.name, "registry.access.redhat.com/ubi9/ubi-minimal:latest");
});

test("readPipeline() expands extends: maps merged, lists replaced, several parents, null to unset", () => {
  const pipeline = read(`
.base:
  before_script: [setup]
  variables: {A: base, B: base}
  script: [base]
  image: {name: x, entrypoint: [""]}
.more:
  extends: .base
  variables: {B: more}
.other:
  variables: {C: other}
one:
  extends: [.more, .other]
  script: [one]
  image: {name: y}
  before_script: null
`);
  const one = job(pipeline, "one");
  assert.deepEqual(
    one.variables.map(({ key, value }) => `${key}=${value}`),
    ["A=base", "B=more", "C=other"],
  );
  assert.deepEqual(one.script, ["one"]);
  assert.deepEqual(one.image?.name, "y");
  assert.deepEqual(one.image?.entrypoint, [""]);
});

test("readPipeline() refuses extends that are unknown, circular or too deep", () => {
  assert.equal(
    refusal(".bases: {script: [x]}\none:\n  extends: .base\n"),
    '.gitlab-ci.yml:3: job "one" extends ".base", which is not there | Did you mean ".bases"?',
  );
  assert.match(refusal(".a: {extends: .b}\n.b: {extends: .a}\none: {extends: .a, script: [x]}\n"), /runs in a circle/);
  const chain = Array.from({ length: 12 }, (_, i) => `.j${i + 1}: {extends: .j${i}}`).join("\n");
  assert.match(refusal(`.j0: {script: [x]}\n${chain}\none: {extends: .j12}\n`), /more than 11 levels/);
});

test("readPipeline() expands anchors and merge keys as GitLab does: a later merge wins over the map's own keys", () => {
  const pipeline = read(`
.a: &a
  script: [from a]
  variables: {X: a}
.b: &b {variables: {X: b}}
before: {<<: *a, script: [own]}
after:
  script: [own]
  <<: *a
many:
  <<: [*b, *a]
list:
  script: &list [one, two]
again: {script: [zero, *list]}
`);
  assert.deepEqual(job(pipeline, "before").script, ["own"]);
  assert.deepEqual(job(pipeline, "after").script, ["from a"]);
  assert.equal(valueOf(job(pipeline, "many").variables, "X"), "b");
  assert.deepEqual(job(pipeline, "again").script, ["zero", "one", "two"]);
});

test("readPipeline() puts !reference in place, also nested and in flattened scripts", () => {
  const pipeline = read(`
.setup:
  script: [a, [b]]
  variables: {URL: https://x.example}
.more:
  script:
    - !reference [.setup, script]
    - c
one:
  variables:
    MINE: !reference [.setup, variables, URL]
  script:
    - !reference [.more, script]
    - d
  after_script: !reference [.setup, script]
`);
  const one = job(pipeline, "one");
  assert.deepEqual(one.script, ["a", "b", "c", "d"]);
  assert.deepEqual(one.afterScript, ["a", "b"]);
  assert.equal(valueOf(one.variables, "MINE"), "https://x.example");
});

test("readPipeline() refuses references to nothing and in circles", () => {
  assert.equal(
    refusal(".setup: {script: [x]}\none:\n  script:\n    - !reference [.setup, scripts]\n"),
    '.gitlab-ci.yml:4: !reference [.setup, scripts] points at nothing: there is no "scripts" | Did you mean "script"?',
  );
  assert.match(refusal("one:\n  script:\n    - !reference [one, script]\n"), /circle of references/);
});

test("readPipeline() applies default and inherit", () => {
  const pipeline = read(`
default:
  before_script: [setup]
  image: img
  retry: 1
variables: {A: a, B: b}
all: {script: [x]}
none: {script: [x], inherit: {default: false, variables: false}}
some: {script: [x], inherit: {default: [image], variables: [B]}}
own: {script: [x], before_script: []}
`);
  assert.deepEqual(job(pipeline, "all").script, ["setup", "x"]);
  assert.equal(job(pipeline, "all").retry.max, 1);
  assert.deepEqual(job(pipeline, "none").script, ["x"]);
  assert.equal(job(pipeline, "none").image, undefined);
  assert.equal(job(pipeline, "none").inheritVariables, false);
  assert.deepEqual(job(pipeline, "some").script, ["x"]);
  assert.equal(job(pipeline, "some").image?.name, "img");
  assert.deepEqual(job(pipeline, "some").inheritVariables, ["B"]);
  assert.deepEqual(job(pipeline, "own").script, ["x"]);
});

test("readPipeline() merges included local files below the file itself, and names the others", () => {
  const pipeline = read(
    `
include:
  - local: /ci/jobs.yml
  - ci/more.yml
  - project: group/other
    file: x.yml
  - https://example.com/x.yml
one: {variables: {X: own}}
`,
    { "ci/jobs.yml": "one: {script: [inc], variables: {X: inc, Y: inc}}", "ci/more.yml": "two: {script: [two]}" },
  );
  assert.deepEqual(job(pipeline, "one").script, ["inc"]);
  assert.equal(valueOf(job(pipeline, "one").variables, "X"), "own");
  assert.equal(valueOf(job(pipeline, "one").variables, "Y"), "inc");
  assert.deepEqual(job(pipeline, "two").script, ["two"]);
  assert.deepEqual(pipeline.warnings, [
    '.gitlab-ci.yml:5: "include" of "project", "file" is left out',
    '.gitlab-ci.yml:7: "include" of a remote file is left out',
  ]);
});

test("readPipeline() reports a mistake in an included file with that file's name and line", () => {
  const files = { "ci/a.yml": "one:\n  script: [x]\n  stge: test\n", "loop.yml": "include: loop.yml" };
  assert.equal(
    refusal("include: ci/a.yml", files),
    'ci/a.yml:3: job "one" has an unknown keyword "stge" | Did you mean "stage"?',
  );
  assert.match(refusal("include: loop.yml", files), /runs in a circle/);
  assert.match(refusal("include: ../x.yml"), /not below the project/);
  assert.match(refusal("include: gone.yml"), /"gone.yml" is not in the project/);
});

test("readPipeline() warns about every keyword that it does not honour, and names the jobs", () => {
  const pipeline = read(`
workflow: {rules: [{when: always}]}
default: {interruptible: true}
one:
  script: [x]
  tags: [a]
  rules: [{if: $X}]
  artifacts: {paths: [a], reports: {junit: x.xml}}
bridge: {trigger: other/project}
two: {script: [x]}
${[3, 4, 5, 6, 7, 8].map((number) => `job${number}: {script: [x]}`).join("\n")}
`);
  assert.deepEqual(pipeline.warnings, [
    '"workflow" is not honoured: the pipeline runs in any case',
    'job "bridge" is left out: "trigger" starts another pipeline, which needs a GitLab server',
    'job "one": "tags" is not honoured',
    'job "one": "rules" is not honoured',
    'jobs "one", "two", "job3", "job4", "job5" and 3 more: "interruptible" is not honoured',
    'job "one": "artifacts:reports" is not honoured',
  ]);
});

test("readPipeline() reads the rest of a job", () => {
  const pipeline = read(`
stages: [a, b]
one:
  stage: a
  script: x
  variables:
    PLAIN: 010
    TRUE: yes
    VERSION: 1.10
    ONE: 1.0
    RAW: {value: $X, expand: false, description: d}
  image: {name: img, entrypoint: /bin/sh, pull_policy: [always, never], docker: {user: 1000, platform: linux/arm64}}
  services: [redis, {name: postgres, alias: "db pg", variables: {A: b}}]
  cache: [{key: {files: [lock], prefix: p}, paths: [a/], policy: pull, fallback_keys: [x]}, {key: k, untracked: true}]
  allow_failure: {exit_codes: [3, 4]}
  timeout: 1h 30m
  retry: {max: 2, when: script_failure, exit_codes: 137}
  hooks: {pre_get_sources_script: [pre]}
two: {stage: b, script: x, needs: [one, {job: three, artifacts: false, optional: true}], when: manual}
four: {stage: b, script: x, dependencies: [one]}
`);
  const one = job(pipeline, "one");
  assert.deepEqual(
    one.variables.map(({ key, value, raw }) => [key, value, raw]),
    [
      ["PLAIN", "8", false],
      ["TRUE", "true", false],
      ["VERSION", "1.1", false],
      ["ONE", "1.0", false],
      ["RAW", "$X", true],
    ],
  );
  assert.deepEqual(one.image, {
    name: "img",
    entrypoint: ["/bin/sh"],
    pullPolicy: ["always", "never"],
    platform: "linux/arm64",
    user: "1000",
    kubernetesUser: "",
  });
  assert.equal(one.services[1]?.alias, "db pg");
  assert.deepEqual(one.caches[0]?.key, { files: ["lock"], prefix: "p" });
  assert.equal(one.caches[1]?.untracked, true);
  assert.deepEqual(one.allowFailure, [3, 4]);
  assert.equal(one.timeoutSeconds, 5400);
  assert.deepEqual(one.retry, { max: 2, when: ["script_failure"], exitCodes: [137] });
  assert.deepEqual(one.preGetSources, ["pre"]);
  const two = job(pipeline, "two");
  assert.equal(two.when, "manual");
  assert.equal(two.allowFailure, true);
  assert.deepEqual(two.needs, [
    { job: "one", artifacts: true, optional: false },
    { job: "three", artifacts: false, optional: true },
  ]);
  assert.deepEqual(job(pipeline, "four").dependencies, ["one"]);
});

for (const [text, message] of [
  ["", ".gitlab-ci.yml:1: The file is empty"],
  ["- a\n", ".gitlab-ci.yml:1: the pipeline must be a map, not a list"],
  ["one: {script: [x]\n", /^\.gitlab-ci\.yml:\d: This is not valid YAML/],
  ["stages: [a]\n", ".gitlab-ci.yml:1: There is no job in this pipeline"],
  [
    "one:\n  stage: a\n",
    '.gitlab-ci.yml:1: job "one" has no script | A key that is no job starts with a dot, as in ".template"',
  ],
  [
    "stages: [test]\none: {stage: tset, script: [x]}\n",
    /:2: .*"tset", which is not among the stages \| Did you mean "test"\?/,
  ],
  ["variabels: {A: b}\none: {script: [x]}\n", /:1: job "variabels" has an unknown keyword "A"|:1: .*has no script/],
  ["foo: bar\none: {script: [x]}\n", /:1: "foo" is neither a job nor a keyword/],
  ["one:\n  script:\n    - echo a: b\n", /:3: .*must be a string or a list of strings, not a map \| A colon/],
  ["one:\n  script: [x]\n  when: sometimes\n", /:3: .*is "sometimes", but must be one of/],
  ["one:\n  script: [x]\n  needs: [one]\n", /needs itself/],
  [
    "one:\n  script: [x]\n  needs: [tow]\ntwo: {script: [x]}\n",
    /needs "tow", which is not there \| Did you mean "two"\?/,
  ],
  ["a: {script: [x], needs: [b]}\nb: {script: [x], needs: [a]}\n", /runs in a circle: a -> b -> a/],
  ["a: {stage: build, script: [x], needs: [b]}\nb: {stage: test, script: [x]}\n", /which is in a later stage/],
  ["a: {script: [x], dependencies: [b]}\nb: {script: [x]}\n", /which is not in an earlier stage/],
  ["one:\n  script: [x]\n  timeout: soon\n", /:3: .*is not a duration/],
  ["one:\n  script: [x]\n  variables: {a-b: c}\n", /:3: .*"a-b" cannot be the name of a variable/],
  ["one:\n  script: [x]\n  image: {nmae: x}\n", /:3: .*unknown key "nmae" \| Did you mean "name"\?/],
  ["one:\n  script: [x]\n  retry: 3\n", /:3: .*is 3, but GitLab allows 0, 1 or 2/],
  ["one: &a\n  script: [x]\n  variables: *b\n", /There is no anchor "&b"|not valid YAML/],
] as const) {
  test(`readPipeline() refuses ${JSON.stringify(text).slice(0, 60)}`, () => {
    const said = refusal(text);
    if (typeof message === "string") assert.equal(said, message);
    else assert.match(said, message);
  });
}

test("readPipeline() survives a small file that anchors blow up", () => {
  const levels = Array.from({ length: 30 }, (_, i) => `.l${i + 1}: &l${i + 1} [*l${i}, *l${i}, *l${i}]`).join("\n");
  assert.match(refusal(`.l0: &l0 [x]\n${levels}\none: {script: *l30}\n`), /10 levels deep|100,000 lines/);
});
