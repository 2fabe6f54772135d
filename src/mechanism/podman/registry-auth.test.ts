import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../../error/error.ts";
import { type Job, parseJob } from "../../gitlab/job.ts";
import type { Wish } from "../../gitlab/variables.ts";
import { checkRegistryAuth, joinRegistryAuth, usedCredentials } from "./registry-auth.ts";

function jobWith(changes: { variables?: unknown; credentials?: unknown; token?: string }): Job {
  const fixed = { id: 1, job_info: { project_id: 2 }, git_info: {} };
  return parseJob(JSON.stringify({ ...fixed, token: "T", ...changes }));
}

const credentials = (url: string, username = "u", password = "p") => ({ type: "registry", url, username, password });
const registry = (value: string) => [{ key: "CI_REGISTRY", value }];
const basic = (text: string) => ({ auth: Buffer.from(text).toString("base64") });
const wish = (text: string) => ({ name: "DOCKER_AUTH_CONFIG", text });
const config = (auths: unknown, more = {}) => wish(JSON.stringify({ auths, ...more }));

function joinedAuth(job: Job, own: Wish | undefined) {
  return joinRegistryAuth(job, own).auth;
}

describe("usedCredentials()", () => {
  test("names the variable that the credentials for the longest path come from, as Podman takes them", () => {
    const job = jobWith({ variables: registry("a.io"), credentials: [credentials("b.io")] });
    const auths = { "r.io": { auth: "eA==" }, "b.io/group/sub": { auth: "eA==" } };
    const { sources } = joinRegistryAuth(job, config(auths, { credHelpers: { "h.io": "x" } }));
    for (const [registryOfImage, path, source] of [
      ["a.io", "group/app", "GitLab"],
      ["b.io", "group/app", "GitLab"],
      ["b.io", "group/sub/app", "DOCKER_AUTH_CONFIG"],
      ["b.io", "group/subapp", "GitLab"],
      ["r.io", "app", "DOCKER_AUTH_CONFIG"],
      ["h.io", "app", "DOCKER_AUTH_CONFIG"],
      ["docker.io", "library/app", undefined],
    ] as const) {
      const place = { registry: registryOfImage, path };
      const used = { registry: registryOfImage, source, variable: "DOCKER_AUTH_CONFIG" };
      assert.deepEqual(usedCredentials(sources, place), used);
    }
  });

  test("names REGISTRY_AUTH_FILE for what is in it", () => {
    const text = JSON.stringify({ auths: { "https://index.docker.io/v1/": { auth: "eA==" } } });
    const sources = checkRegistryAuth({ name: "REGISTRY_AUTH_FILE", text });
    const used = usedCredentials(sources, { registry: "docker.io", path: "library/app" });
    assert.equal(used.source, "REGISTRY_AUTH_FILE");
    const none = { registry: "r.io", source: undefined, variable: "REGISTRY_AUTH_FILE" };
    assert.deepEqual(usedCredentials(sources, { registry: "r.io", path: "app" }), none);
  });
});

describe("joinRegistryAuth()", () => {
  test("gives the project's registry the job's token", () => {
    const job = jobWith({ variables: registry("registry.example.com") });
    assert.deepEqual(joinedAuth(job, undefined), {
      auths: { "registry.example.com": basic("gitlab-ci-token:T") },
    });
  });

  test("gives nothing where there is nothing", () => {
    assert.deepEqual(joinedAuth(jobWith({}), undefined), { auths: {} });
    assert.deepEqual(joinedAuth(jobWith({ variables: registry("") }), wish(" \n")), { auths: {} });
    assert.deepEqual(joinedAuth(jobWith({ token: "", variables: registry("r.io") }), undefined), { auths: {} });
  });

  test("takes the user's own before GitLab's, and GitLab's before the job's token", () => {
    const job = jobWith({
      variables: registry("a.io"),
      credentials: [credentials("a.io"), credentials("b.io"), credentials("c.io")],
    });
    assert.deepEqual(joinedAuth(job, config({ "b.io": { auth: "b3du" } })).auths, {
      "a.io": basic("u:p"),
      "b.io": { auth: "b3du" },
      "c.io": basic("u:p"),
    });
  });

  test("keeps what is for a part of a registry beside what is for all of it", () => {
    const job = jobWith({ credentials: [credentials("r.io")] });
    const auths = joinedAuth(job, config({ "r.io/group": { auth: "eA==" } })).auths;
    assert.deepEqual(Object.keys(auths).toSorted(), ["r.io", "r.io/group"]);
  });

  for (const [written, key] of [
    ["https://index.docker.io/v1/", "docker.io"],
    ["https://index.docker.io/v1", "docker.io"],
    ["index.docker.io", "docker.io"],
    ["registry-1.docker.io", "docker.io"],
    ["docker.io", "docker.io"],
    ["docker.io/group", "docker.io/group"],
    ["https://Registry.Example.com:5000/", "registry.example.com:5000"],
    ["http://r.io/v2/", "r.io"],
    ["r.io/Group/App", "r.io/Group/App"],
  ] as const) {
    test(`writes ${written} as Podman looks for it, ${key}`, () => {
      assert.deepEqual(joinedAuth(jobWith({}), config({ [written]: { auth: "eA==" } })).auths, {
        [key]: { auth: "eA==" },
      });
      assert.deepEqual(Object.keys(joinedAuth(jobWith({ credentials: [credentials(written)] }), undefined).auths), [
        key,
      ]);
    });
  }

  test("takes user and password in the place of their base64, and leaves out what has neither", () => {
    const own = config({
      "a.io": { username: "ü", password: ":p:" },
      "b.io": {},
      "c.io": { username: "x" },
      "d.io": { email: "x" },
    });
    assert.deepEqual(joinedAuth(jobWith({}), own).auths, { "a.io": basic("ü::p:") });
  });

  test("hands on the names of credential helpers, never a path", () => {
    const own = (helper: string) => config({}, { credHelpers: { "r.io": helper }, credsStore: "store" });
    assert.deepEqual(joinedAuth(jobWith({}), own("ecr-login")), {
      auths: {},
      credHelpers: { "r.io": "ecr-login" },
    });
    for (const helper of ["", "../x", "x/../../tmp/evil", "/tmp/evil", "-x", "a b", "x\n", "x\0"]) {
      assert.throws(() => joinedAuth(jobWith({}), own(helper)), { code: "registry_auth_invalid" }, helper);
    }
  });

  test("is not confused by names that every object has", () => {
    const auths = joinedAuth(
      jobWith({ credentials: [credentials("__proto__"), credentials("constructor")] }),
      wish('{"auths":{"__proto__":{"auth":"eA=="},"toString":{"auth":"eQ=="}}}'),
    ).auths;
    assert.equal(Object.getPrototypeOf(auths), Object.prototype);
    assert.ok(Object.hasOwn(auths, "constructor"));
    assert.ok(Object.hasOwn(auths, "tostring"));
  });

  test("refuses hostile JSON, and quotes nothing of it", () => {
    const secret = "c2VjcmV0OnNlY3JldA==";
    const hostile = [
      secret,
      `{"auths":{"r.io":{"auth":"${secret}"`,
      `{"auths":"${secret}"}`,
      `{"auths":{"r.io":"${secret}"}}`,
      `{"auths":{"r.io":{"auth":{"x":"${secret}"}}}}`,
      `{"auths":{"${secret}":{"auth":1}}}`,
      `{"auths":{"r.io":{"username":["${secret}"]}}}`,
      `"${secret}"`,
      "null",
      "17",
      `{"credHelpers":["${secret}"]}`,
      "[".repeat(100_000),
    ];
    for (const text of hostile) {
      assert.throws(
        () => joinedAuth(jobWith({}), wish(text)),
        (error: unknown) => {
          assert.ok(error instanceof JacamarError);
          assert.equal(error.code, "registry_auth_invalid");
          assert.match(error.message, /DOCKER_AUTH_CONFIG/);
          const shown = `${error.message}${error.hint}${error.stack}${String(error.cause)}`;
          assert.ok(!shown.includes(secret) && !shown.includes("c2Vj"), text.slice(0, 40));
          return true;
        },
      );
    }
  });

  test("gives JSON of the form that Podman reads, whatever it is given", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(fc.tuple(fc.string(), fc.string(), fc.string())), (own, entries) => {
        const job = jobWith({ credentials: entries.map(([url, user, password]) => credentials(url, user, password)) });
        let joined: ReturnType<typeof joinedAuth>;
        try {
          joined = joinedAuth(job, config(own));
        } catch (error) {
          assert.ok(error instanceof JacamarError);
          return;
        }
        for (const { auth } of Object.values(joined.auths)) assert.equal(typeof auth, "string");
      }),
    );
  });
});
