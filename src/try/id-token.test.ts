import assert from "node:assert/strict";
import { createPublicKey, createVerify } from "node:crypto";
import { createServer } from "node:http";
import test from "node:test";
import * as v from "valibot";
import { parseTryArguments } from "./arguments.ts";
import { idTokenClaims, idTokens } from "./id-token.ts";
import { type JobFacts, serverVariables } from "./job-variables.ts";
import { readPipeline } from "./pipeline.ts";
import { startTokenServer } from "./token-server.ts";
import { valueOf, variable } from "./variables.ts";

function facts(yaml: string): JobFacts {
  const pipeline = readPipeline({ file: "ci.yml", text: yaml, readLocal: () => undefined });
  assert.deepEqual(pipeline.warnings, []);
  const [job] = pipeline.jobs;
  assert.ok(job);
  return {
    pipeline: {
      pipelineId: 900,
      projectId: 17,
      projectPath: "group/sub/demo",
      configPath: "ci.yml",
      sources: undefined,
      user: { login: "alice", name: "alice", email: "alice@localhost", id: 1001 },
      runner: { shortToken: "try-local", description: "try", version: "1" },
      globalVariables: pipeline.variables,
      givenVariables: [],
      startedAt: new Date(),
    },
    job,
    jobId: 901,
    token: "glcbt-x",
    timeoutSeconds: 600,
    concurrentId: 0,
    idTokens: [],
  };
}

const one = (aud: string) => `one: {script: [x], id_tokens: {SITE_ID_TOKEN: {aud: ${aud}}}}`;

test("idTokenClaims() says of the job what the job response says, with ids as texts, as GitLab does", () => {
  const { jti, ...claims } = idTokenClaims(facts(one("a")), "http://127.0.0.1:1", "a", new Date(1_700_000_000_999));
  assert.match(String(jti), /^[0-9a-f-]{36}$/);
  assert.deepEqual(claims, {
    namespace_id: "1",
    namespace_path: "group/sub",
    project_id: "17",
    project_path: "group/sub/demo",
    user_id: "1001",
    user_login: "alice",
    user_email: "alice@localhost",
    user_access_level: "maintainer",
    pipeline_id: "900",
    pipeline_source: "push",
    job_id: "901",
    ref: "main",
    ref_type: "branch",
    ref_path: "refs/heads/main",
    ref_protected: "false",
    runner_id: 1,
    runner_environment: "self-hosted",
    sha: "0".repeat(40),
    project_visibility: "private",
    ci_config_ref_uri: "gitlab.invalid/group/sub/demo//ci.yml@refs/heads/main",
    ci_config_sha: "0".repeat(40),
    iss: "http://127.0.0.1:1",
    iat: 1_700_000_000,
    nbf: 1_699_999_995,
    exp: 1_700_000_600,
    sub: "project_path:group/sub/demo:ref_type:branch:ref:main",
    aud: "a",
  });
});

test("idTokens() makes a masked variable of each, with the audience expanded, and the pipeline's own variables win", () => {
  const asked: unknown[] = [];
  const server = {
    address: "http://127.0.0.1:1",
    sign: (claims: Readonly<Record<string, unknown>>) => `token-${asked.push(claims["aud"])}`,
    close: () => Promise.resolve(),
  };
  const yaml = `
variables: {SITE: site}
default: {id_tokens: {A: {aud: "$SITE.example"}}}
one: {script: [x]}
`;
  const job = facts(yaml);
  const tokens = idTokens(job, server, new Date());
  assert.deepEqual(tokens, [variable("A", "token-1", { public: false, masked: true })]);
  assert.deepEqual(asked, ["site.example"]);
  idTokens(facts(one("[a, $CI_JOB_ID]")), server, new Date());
  assert.deepEqual(asked[1], ["a", "901"]);

  assert.equal(valueOf(serverVariables({ ...job, idTokens: tokens }), "A"), "token-1");
  const own = facts(`one: {script: [x], variables: {A: mine}, id_tokens: {A: {aud: a}}}`);
  assert.equal(valueOf(serverVariables({ ...own, idTokens: tokens }), "A"), "mine");
});

for (const [yaml, message] of [
  ["id_tokens: {A: }", /"id_tokens": "A" must be a map/],
  ["id_tokens: {A: {}}", /"A" has no "aud"/],
  ["id_tokens: {A: {aud: []}}", /"aud" is empty/],
  ["id_tokens: {A: {aud: 3}}", /"aud" must be a string/],
  ["id_tokens: {A: {audience: x}}", /unknown key "audience"/],
  ["id_tokens: {a-b: {aud: x}}", /"a-b" cannot be the name of a variable/],
  ["id_tokens: [A]", /must be a map, not a list/],
] as const) {
  test(`readIdTokens() refuses ${yaml}`, () => {
    const text = `one: {script: [x], ${yaml}}`;
    assert.throws(() => readPipeline({ file: "ci.yml", text, readLocal: () => undefined }), {
      code: "pipeline_invalid",
      message,
    });
  });
}

test("startTokenServer() publishes the key that verifies what it signs, tells whose a job is, and nothing else", async () => {
  const server = await startTokenServer(0);
  try {
    assert.match(server.address, /^http:\/\/127\.0\.0\.1:\d+$/);
    const answer = await fetch(`${server.address}/oauth/discovery/keys`);
    const text = await answer.text();
    const [key] = v.parse(v.object({ keys: v.array(v.record(v.string(), v.string())) }), JSON.parse(text)).keys;
    assert.ok(key);
    assert.deepEqual(Object.keys(key).toSorted(), ["alg", "e", "kid", "kty", "n", "use"], "no private part");
    const [header = "", payload = "", signature = ""] = server.sign({ a: "ü" }).split(".");
    assert.deepEqual(JSON.parse(Buffer.from(header, "base64url").toString()), {
      alg: "RS256",
      kid: key.kid,
      typ: "JWT",
    });
    assert.deepEqual(JSON.parse(Buffer.from(payload, "base64url").toString()), { a: "ü" });
    const publicKey = createPublicKey({ key, format: "jwk" });
    const verify = createVerify("RSA-SHA256").update(`${header}.${payload}`);
    assert.ok(verify.verify(publicKey, signature, "base64url"));
    assert.equal((await fetch(server.address)).status, 404);
    server.introduce("token-of-job", { jobId: 7, user: { id: 3, login: "alice" } });
    const job = await fetch(`${server.address}/api/v4/job`, { headers: { "job-token": "token-of-job" } });
    assert.deepEqual(await job.json(), { id: 7, status: "running", user: { id: 3, username: "alice", bot: false } });
    const stranger = await fetch(`${server.address}/api/v4/job`, { headers: { "job-token": "another" } });
    assert.equal(stranger.status, 404);
  } finally {
    await server.close();
  }
  await assert.rejects(fetch(server.address), "it is closed");
});

test("startTokenServer() says that a port is taken", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = other.address();
  assert.ok(address !== null && typeof address === "object");
  await assert.rejects(startTokenServer(address.port), { code: "usage", message: /another program has it/ });
  other.close();
});

test("parseTryArguments() reads --token-server and --login", () => {
  const wanted = parseTryArguments(["--token-server", "8765", "--login", "bob"]);
  assert.deepEqual([wanted.tokenServerPort, wanted.login], [8765, "bob"]);
  const plain = parseTryArguments([]);
  assert.deepEqual([plain.tokenServerPort, plain.login], [0, undefined]);
  for (const bad of [["--token-server", "65536"], ["--token-server", "x"], ["--login="]]) {
    assert.throws(() => parseTryArguments(bad), { code: "usage" });
  }
});
