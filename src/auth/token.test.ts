import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../error/error.ts";
import { type Job, parseJob } from "../gitlab/job.ts";
import { keyServer } from "./key-server.ts";
import { type SigningKey, signingKeys } from "./key-set.ts";
import type { KeySource } from "./keys.ts";
import { encode, makeTokenKey, type Members, type TokenKey } from "./testing/token-keys.ts";
import { idTokenHint } from "./token-hint.ts";
import { type TokenInput, type TokenRefusalCode, type TokenVerdict, verifyToken } from "./token.ts";

const server = keyServer("https://gitlab.example.com");
const rsa = makeTokenKey();
const ec = makeTokenKey("ES256");
/** A key of somebody else, whom no server knows. */
const stranger = makeTokenKey();

const now = new Date("2026-11-24T12:00:00Z");
const seconds = Math.floor(now.getTime() / 1000);

const job: Job = jobOf({});
function jobOf(info: Members): Job {
  const job_info = { pipeline_id: 900, project_id: 17, project_full_path: "group/demo", ...info };
  return parseJob(JSON.stringify({ id: 4242, token: "glcbt-64_Secret", job_info, git_info: {} }));
}

/** As GitLab writes them (docs.gitlab.com/ci/secrets/id_token_authentication), with what a test changes. */
function claims(changes: Members = {}): Members {
  return {
    namespace_id: "5",
    namespace_path: "group",
    project_id: "17",
    project_path: "group/demo",
    user_id: "33",
    user_login: "alice",
    user_email: "alice@example.com",
    user_access_level: "developer",
    user_identities: [{ provider: "saml", extern_uid: "alice@realm" }],
    pipeline_id: "900",
    pipeline_source: "push",
    job_id: "4242",
    ref: "main",
    ref_type: "branch",
    ref_protected: "true",
    groups_direct: ["group", "other/group"],
    runner_id: 1,
    runner_environment: "self-hosted",
    jti: "63ab75f4-2606-4f0e-a500-86f90ab13a85",
    iss: "https://gitlab.example.com",
    iat: seconds - 5,
    nbf: seconds - 10,
    exp: seconds + 3600,
    sub: "project_path:group/demo:ref_type:branch:ref:main",
    aud: "https://hpc.example.com",
    ...changes,
  };
}

/** The keys that a server publishes, without a server. It notes what it was asked for. */
function published(...keys: readonly TokenKey[]): KeySource & { readonly asked: string[] } {
  const known: readonly SigningKey[] = signingKeys({ keys: keys.map(({ jwk }) => jwk) }) ?? [];
  const asked: string[] = [];
  return {
    asked,
    find: async (kid) => {
      asked.push(kid);
      const key = known.find((candidate) => candidate.kid === kid);
      return key === undefined ? { kind: "unknown", notes: ["asked"] } : { kind: "known", key, notes: ["cached"] };
    },
  };
}

function verify(token: string | undefined, changes: Partial<TokenInput> = {}): Promise<TokenVerdict> {
  return verifyToken({
    token,
    job,
    server,
    keys: published(rsa, ec),
    requiredAudience: "https://hpc.example.com",
    slackSeconds: 0,
    now,
    ...changes,
  });
}

async function refused(verdict: Promise<TokenVerdict>, code: TokenRefusalCode, token = ""): Promise<string> {
  const found = await verdict;
  assert.equal(found.kind === "refused" ? found.code : found.kind, code);
  assert.ok(found.kind === "refused");
  assert.match(found.reason, /^The (token|job|server) [^\n]{10,700}\.$|^The token's [^\n]{10,700}\.$/);
  for (const part of token.split(".").filter((text) => text.length > 8)) {
    assert.ok(!found.reason.includes(part), "the reason holds a part of the token");
  }
  return found.reason;
}

describe("verifyToken()", () => {
  test("takes a token as GitLab makes it", async () => {
    const verdict = await verify(rsa.sign(claims()));
    assert.ok(verdict.kind === "verified");
    const { texts } = verdict.claims;
    assert.deepEqual(Object.fromEntries(Object.entries(verdict.claims)), {
      userLogin: "alice",
      userId: "33",
      userEmail: "alice@example.com",
      userIdentities: [{ provider: "saml", externUid: "alice@realm" }],
      projectId: "17",
      projectPath: "group/demo",
      namespaceId: "5",
      namespacePath: "group",
      pipelineId: "900",
      pipelineSource: "push",
      jobId: "4242",
      ref: "main",
    });
    assert.equal(texts.get("user_login"), "alice");
    assert.equal(texts.get("runner_id"), "1");
    assert.equal(texts.get("user_access_level"), "developer");
    assert.equal(texts.has("groups_direct"), false);
    assert.deepEqual(verdict.notes, ["cached"]);
    assert.ok(Object.isFrozen(verdict.claims));
  });

  test("takes one without the claims that not every GitLab gives", async () => {
    const verdict = await verify(rsa.sign(claims({ user_email: null, user_identities: undefined, sub: undefined })));
    assert.ok(verdict.kind === "verified");
    assert.deepEqual([verdict.claims.userEmail, verdict.claims.userIdentities], [undefined, []]);
  });

  test("takes any audience when none is asked for, and one of several", async () => {
    const other = rsa.sign(claims({ aud: "https://elsewhere.example.com" }));
    assert.equal((await verify(other, { requiredAudience: undefined })).kind, "verified");
    const several = rsa.sign(claims({ aud: ["https://elsewhere.example.com", "https://hpc.example.com"] }));
    assert.equal((await verify(several)).kind, "verified");
  });

  for (const alg of ["RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512"]) {
    test(`takes ${alg} from a key that is published for it`, async () => {
      const key = makeTokenKey(alg);
      assert.equal((await verify(key.sign(claims()), { keys: published(key) })).kind, "verified");
    });
  }

  test("tells a missing token from a bad one", async () => {
    assert.deepEqual(await verify(undefined), { kind: "missing" });
    assert.deepEqual(await verify(""), { kind: "missing" });
  });

  test("passes on that the keys cannot be had", async () => {
    const error = new JacamarError("keys_unavailable", "Cannot get the public keys");
    await assert.rejects(verify(rsa.sign(claims()), { keys: { find: () => Promise.reject(error) } }), error);
  });

  test("hides nothing of a defect", async () => {
    await assert.rejects(verify(rsa.sign(claims()), { slackSeconds: -1 }), TypeError);
  });

  const good = rsa.sign(claims());
  const [header = "", payload = "", signature = ""] = good.split(".");
  const hmac = (secret: string | Buffer, changes: Members = {}) => {
    const signed = `${encode({ alg: "HS256", typ: "JWT", kid: rsa.kid, ...changes })}.${payload}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  };
  const pem = rsa.publicKey.export({ type: "spki", format: "pem" });
  const privateJwk = { ...stranger.jwk };
  const at = (offset: number) => seconds + offset;
  /** A letter at the end of a signature of 256 bytes has four bits that say nothing. */
  const sameBytes = `${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1)}`;

  const table: readonly (readonly [what: string, code: TokenRefusalCode, token: string])[] = [
    // The form.
    ["a word", "token_malformed", "token"],
    ["a variable that was not expanded", "token_malformed", "$SITE_ID_TOKEN"],
    ["two dots and nothing else", "token_malformed", ".."],
    ["one part", "token_malformed", payload],
    ["two parts", "token_malformed", `${header}.${payload}`],
    ["no signature", "token_malformed", `${header}.${payload}.`],
    ["four parts", "token_malformed", `${good}.${signature}`],
    ["an encrypted token's five parts", "token_malformed", `${good}.${signature}.${signature}`],
    ["a space in front", "token_malformed", ` ${good}`],
    ["a line break behind", "token_malformed", `${good}\n`],
    ["a line break in base64", "token_malformed", `${header}.${payload.slice(0, 8)}\n${payload.slice(8)}.${signature}`],
    ["padding", "token_malformed", `${header}.${payload}.${signature}==`],
    ["the other alphabet", "token_malformed", `${header}.${payload}.${"+/".repeat(171)}`],
    ["bits that base64url does not use", "token_malformed", `${header}.${payload}.${sameBytes}`],
    ["1 MB of one letter", "token_malformed", "A".repeat(2 ** 20)],
    ["1 MB with dots", "token_malformed", `${header}.${"A".repeat(2 ** 20)}.${signature}`],
    ["a million dots", "token_malformed", ".".repeat(2 ** 20)],
    ["a NUL", "token_malformed", `${header}\0.${payload}.${signature}`],
    ["a header that is not JSON", "token_malformed", `${encode("{")}.${payload}.${signature}`],
    ["a header that is a list", "token_malformed", `${encode("[]")}.${payload}.${signature}`],
    ["a header that is null", "token_malformed", `${encode("null")}.${payload}.${signature}`],
    ["a good token of 200 kB", "token_malformed", rsa.sign(claims({ x: "x".repeat(150_000) }))],
    ["a good token with a long header", "token_malformed", rsa.sign(claims(), { x: "x".repeat(4096) })],
    ["a deep header", "token_malformed", rsa.sign(claims(), "[".repeat(100_000))],
    [
      "a name twice in the header",
      "token_malformed",
      rsa.sign(claims(), `{"alg":"none","alg":"RS256","kid":"${rsa.kid}"}`),
    ],
    [
      "a name twice, one escaped",
      "token_malformed",
      rsa.sign(claims(), `{"alg":"none","\\u0061lg":"RS256","kid":"${rsa.kid}"}`),
    ],
    ["claims that are no object", "token_malformed", rsa.sign("[]")],
    ["claims that are no JSON", "token_malformed", rsa.sign('{"a":')],
    [
      "claims that are not UTF-8",
      "token_malformed",
      `${header}.${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.${signature}`,
    ],
    ["a byte order mark", "token_malformed", rsa.sign(`\ufeff${JSON.stringify(claims())}`)],
    ["a claim twice", "token_malformed", rsa.sign(JSON.stringify(claims()).replace("{", '{"user_login":"root",'))],
    [
      "a claim twice, deep inside",
      "token_malformed",
      rsa.sign(JSON.stringify(claims({ x: 0 })).replace('"x":0', '"x":[{"a":1,"a":2}]')),
    ],

    // The header.
    ["no key id", "header_refused", rsa.sign(claims(), { kid: undefined })],
    ["an empty key id", "header_refused", rsa.sign(claims(), { kid: "" })],
    ["a key id that is a number", "header_refused", rsa.sign(claims(), { kid: 1 })],
    ["a key id that is a list", "header_refused", rsa.sign(claims(), { kid: [rsa.kid] })],
    ["a key id of 300 characters", "header_refused", rsa.sign(claims(), { kid: "k".repeat(300) })],
    ["a key id of 1 MB", "token_malformed", rsa.sign(claims(), { kid: "k".repeat(2 ** 20) })],
    ["no algorithm", "header_refused", rsa.sign(claims(), { alg: undefined })],
    ["a type of another kind", "header_refused", rsa.sign(claims(), { typ: "at+jwt" })],
    ["a jku", "header_refused", stranger.sign(claims(), { kid: rsa.kid, jku: "https://evil.example.com/keys" })],
    ["an x5u", "header_refused", stranger.sign(claims(), { kid: rsa.kid, x5u: "https://evil.example.com/cert" })],
    ["an x5c", "header_refused", stranger.sign(claims(), { kid: rsa.kid, x5c: ["MIIB"] })],
    ["an embedded key", "header_refused", stranger.sign(claims(), { kid: rsa.kid, jwk: privateJwk })],
    ["a good token with an embedded key", "header_refused", rsa.sign(claims(), { jwk: rsa.jwk })],
    ["an extension that must be understood", "header_refused", rsa.sign(claims(), { crit: ["exp"] })],
    ["an empty list of them", "header_refused", rsa.sign(claims(), { crit: [] })],
    ["unencoded claims", "header_refused", rsa.sign(claims(), { b64: false, crit: ["b64"] })],

    // The key and the algorithm.
    ["a key of nobody", "key_unknown", stranger.sign(claims())],
    ["a key id that is a path", "key_unknown", stranger.sign(claims(), { kid: "../../../../etc/passwd" })],
    ["a key id with a NUL", "key_unknown", stranger.sign(claims(), { kid: `${rsa.kid}\0` })],
    ["a key id that looks like a member", "key_unknown", stranger.sign(claims(), { kid: "__proto__" })],
    ["a key id with a line break", "key_unknown", stranger.sign(claims(), { kid: `\n${rsa.kid}` })],
    ["a stranger under a known key id", "signature_invalid", stranger.sign(claims(), { kid: rsa.kid })],
    ["alg: none", "token_malformed", `${encode({ alg: "none", kid: rsa.kid })}.${payload}.`],
    [
      "alg: none with a signature",
      "algorithm_refused",
      `${encode({ alg: "none", kid: rsa.kid })}.${payload}.${signature}`,
    ],
    ["alg: NoNe", "algorithm_refused", `${encode({ alg: "NoNe", kid: rsa.kid })}.${payload}.${signature}`],
    ["HS256 with the public key as PEM", "algorithm_refused", hmac(pem)],
    ["HS256 with the public key as PEM, cut", "algorithm_refused", hmac(pem.trim())],
    [
      "HS256 with the public key as DER",
      "algorithm_refused",
      hmac(rsa.publicKey.export({ type: "spki", format: "der" })),
    ],
    ["HS256 with the modulus", "algorithm_refused", hmac(Buffer.from(String(rsa.jwk.n), "base64url"))],
    ["HS256 with the key as JSON", "algorithm_refused", hmac(JSON.stringify(rsa.jwk))],
    ["HS256 with nothing", "algorithm_refused", hmac("")],
    ["HS256 on the other key", "algorithm_refused", hmac(String(ec.jwk.x), { kid: ec.kid })],
    ["RS384 of a key that is for RS256", "algorithm_refused", rsa.sign(claims(), { alg: "RS384" })],
    ["PS256 of a key that is for RS256", "algorithm_refused", rsa.sign(claims(), { alg: "PS256" })],
    ["rs256 in small letters", "algorithm_refused", rsa.sign(claims(), { alg: "rs256" })],
    ["ES256 under the key id of an RSA key", "algorithm_refused", ec.sign(claims(), { kid: rsa.kid })],
    ["RS256 under the key id of a key on a curve", "algorithm_refused", rsa.sign(claims(), { kid: ec.kid })],
    [
      "a signature of zeros on a curve",
      "signature_invalid",
      ec.sign(claims()).replace(/[^.]*$/, Buffer.alloc(64).toString("base64url")),
    ],
    ["a signature of zeros", "signature_invalid", `${header}.${payload}.${Buffer.alloc(256).toString("base64url")}`],
    ["a signature of one byte", "signature_invalid", `${header}.${payload}.AA`],
    [
      "another user's name under the same signature",
      "signature_invalid",
      `${header}.${encode(claims({ user_login: "root" }))}.${signature}`,
    ],
    [
      "another header under the same signature",
      "signature_invalid",
      `${encode({ kid: rsa.kid, alg: "RS256" })}.${payload}.${signature}`,
    ],

    // Who issued it, for whom, when.
    ["another server", "issuer_wrong", rsa.sign(claims({ iss: "https://gitlab.evil.com" }))],
    ["the server with a slash", "issuer_wrong", rsa.sign(claims({ iss: "https://gitlab.example.com/" }))],
    ["the server without TLS", "issuer_wrong", rsa.sign(claims({ iss: "http://gitlab.example.com" }))],
    ["the server in capitals", "issuer_wrong", rsa.sign(claims({ iss: "https://GITLAB.example.com" }))],
    ["the server and more", "issuer_wrong", rsa.sign(claims({ iss: "https://gitlab.example.com.evil.com" }))],
    ["the server as a list", "issuer_wrong", rsa.sign(claims({ iss: ["https://gitlab.example.com"] }))],
    ["another audience", "audience_wrong", rsa.sign(claims({ aud: "https://vault.example.com" }))],
    ["other audiences", "audience_wrong", rsa.sign(claims({ aud: ["a", "b"] }))],
    ["no audience in the list", "audience_wrong", rsa.sign(claims({ aud: [] }))],
    ["an audience that begins right", "audience_wrong", rsa.sign(claims({ aud: "https://hpc.example.com.evil.com" }))],
    ["an audience that is an object", "audience_wrong", rsa.sign(claims({ aud: { 0: "https://hpc.example.com" } }))],
    ["the right audience beside a number", "claim_invalid", rsa.sign(claims({ aud: ["https://hpc.example.com", 1] }))],
    ["a token that ends now", "expired", rsa.sign(claims({ exp: at(0) }))],
    ["a token of yesterday", "expired", rsa.sign(claims({ exp: at(-86_400) }))],
    ["a token that ended before 1970", "expired", rsa.sign(claims({ exp: -1 }))],
    ["a token of the next second", "not_yet_valid", rsa.sign(claims({ nbf: at(1) }))],
    ["a token that is issued in the next second", "issued_in_future", rsa.sign(claims({ iat: at(1) }))],
    ["an end that is a text", "claim_invalid", rsa.sign(claims({ exp: String(at(3600)) }))],
    [
      "an end that never comes",
      "claim_invalid",
      rsa.sign(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999')),
    ],
    ["an end that is a fraction", "claim_invalid", rsa.sign(claims({ exp: at(3600) + 0.5 }))],
    ["a beginning that is null", "claim_invalid", rsa.sign(claims({ nbf: null }))],
    ["an issue before 1970", "claim_invalid", rsa.sign(claims({ iat: -1 }))],

    // Which job.
    ["another job", "other_job", rsa.sign(claims({ job_id: "4243" }))],
    ["another project", "other_job", rsa.sign(claims({ project_id: "18" }))],
    ["another project's path", "other_job", rsa.sign(claims({ project_path: "group/demo2" }))],
    ["the project's path in capitals", "other_job", rsa.sign(claims({ project_path: "Group/Demo" }))],
    ["a job of another project", "other_job", rsa.sign(claims({ job_project_id: "18" }))],
    ["a job of another project's path", "other_job", rsa.sign(claims({ job_project_path: "group/demo2" }))],
    ["another pipeline", "other_job", rsa.sign(claims({ pipeline_id: "901" }))],
  ];
  for (const [what, code, token] of table) {
    test(`refuses ${what}: ${code}`, async () => {
      await refused(verify(token), code, token);
    });
  }

  const required = ["iss", "aud", "exp", "nbf", "iat"];
  const ofJob = ["job_id", "project_id", "project_path", "pipeline_id"];
  const ofUser = ["user_login", "user_id", "pipeline_source", "ref", "namespace_id", "namespace_path"];
  for (const claim of [...required, ...ofJob, ...ofUser]) {
    test(`refuses a token without ${claim}, naming it`, async () => {
      const reason = await refused(verify(rsa.sign(claims({ [claim]: undefined }))), "claim_missing");
      assert.match(reason, new RegExp(`"${claim}"`));
    });
  }

  const numbers = ["job_id", "project_id", "pipeline_id", "user_id", "namespace_id"];
  const mistyped: readonly unknown[] = [null, true, 17, 4242, ["4242"], { id: "4242" }, "x\0y", "x\ny"];
  for (const claim of [...ofJob, ...ofUser]) {
    test(`refuses a token whose ${claim} is not what it should be, naming it`, async () => {
      const more = numbers.includes(claim) ? ["", "04242", "4242 ", "-1", "0", "4e3", "٤"] : [];
      const empty = claim === "ref" ? [] : [""];
      for (const value of [...mistyped, ...more, ...empty]) {
        const reason = await refused(verify(rsa.sign(claims({ [claim]: value }))), "claim_invalid");
        assert.match(reason, new RegExp(`"${claim}"`), JSON.stringify(value));
      }
    });
  }

  test("refuses claims that it does not need but that are not what they should be", async () => {
    const changes = [
      { user_email: 1 },
      { user_identities: {} },
      { user_identities: [{ provider: "saml" }] },
      { user_login: "a".repeat(256) },
      { environment: "a\0b" },
    ];
    for (const change of changes) await refused(verify(rsa.sign(claims(change))), "claim_invalid");
  });

  test("keeps odd names of claims from the environment of a program", async () => {
    const odd = JSON.stringify(claims()).replace("{", '{"__proto__":"x","A":"x","a=b":"x","a b":"x","":"x","1a":"x",');
    const verdict = await verify(rsa.sign(odd));
    assert.ok(verdict.kind === "verified");
    for (const name of verdict.claims.texts.keys()) assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.ok(!verdict.claims.texts.has("__proto__"));
  });

  test("allows the clocks to differ as far as the configuration says, and no further", async () => {
    for (const [late, inTime] of [
      [{ exp: at(-30) }, { exp: at(-29) }],
      [{ nbf: at(31) }, { nbf: at(30) }],
      [{ iat: at(31) }, { iat: at(30) }],
    ] as const) {
      assert.equal((await verify(rsa.sign(claims(late)), { slackSeconds: 30 })).kind, "refused");
      assert.equal((await verify(rsa.sign(claims(inTime)), { slackSeconds: 30 })).kind, "verified");
    }
  });

  test("refuses every token when the job response leaves the project out", async () => {
    const job = jobOf({ project_id: null });
    await refused(verify(rsa.sign(claims()), { job }), "job_incomplete");
    for (const empty of ["0", ""]) {
      await refused(verify(rsa.sign(claims({ project_id: empty })), { job }), "claim_invalid");
    }
  });

  test("takes the token of the job from a runner that does not hand pipeline and project's path over, and no other", async () => {
    const older: Members = { pipeline_id: undefined, project_full_path: undefined };
    for (const info of [older, { pipeline_id: undefined }, { pipeline_id: 0, project_full_path: "" }]) {
      const job = jobOf(info);
      assert.equal((await verify(rsa.sign(claims()), { job })).kind, "verified");
      await refused(verify(rsa.sign(claims({ job_id: "4243" })), { job }), "other_job");
      await refused(verify(rsa.sign(claims({ project_id: "18" })), { job }), "other_job");
      for (const empty of ["0", ""]) {
        const token = rsa.sign(claims({ project_path: empty, pipeline_id: empty }));
        await refused(verify(token, { job }), "claim_invalid");
      }
    }
  });

  test("takes a merge request from a fork, whose project_* are the fork's", async () => {
    const fork = { project_id: "99", project_path: "fork/demo", job_project_id: "17", job_project_path: "group/demo" };
    assert.equal((await verify(rsa.sign(claims(fork)))).kind, "verified");
  });

  test("shows the administrator both sides of a difference", async () => {
    assert.match(await refused(verify(rsa.sign(claims({ job_id: "5" }))), "other_job"), /"5".*"4242"/);
    const issuer = await refused(verify(rsa.sign(claims({ iss: "https://evil\n" }))), "issuer_wrong");
    assert.match(issuer, /"https:\/\/evil\\n".*"https:\/\/gitlab\.example\.com"/);
    await refused(verify(rsa.sign(claims({ iss: "x".repeat(50_000) }))), "issuer_wrong");
  });

  test("asks for no key before the form is right", async () => {
    const keys = published(rsa);
    for (const [, code, token] of table) {
      if (code === "token_malformed" || code === "header_refused") await verify(token, { keys });
    }
    assert.deepEqual(keys.asked, []);
  });

  test("refuses a published key that cannot be one", async () => {
    const key = makeTokenKey("ES256");
    // A point that is not on the curve.
    const keys = published({ ...key, jwk: { ...key.jwk, x: Buffer.alloc(32, 1).toString("base64url") } });
    await refused(verify(key.sign(claims()), { keys }), "key_unusable");
  });

  test("never verifies a token that was changed", async () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\n ".split("");
    const tokens = [good, ec.sign(claims())];
    const place = fc.nat();
    const change = fc.oneof(
      fc.record({ kind: fc.constant("replace"), place, text: fc.constantFrom(...alphabet) }),
      fc.record({ kind: fc.constant("insert"), place, text: fc.string({ maxLength: 3 }) }),
      fc.record({ kind: fc.constant("cut"), place, text: fc.constant("") }),
      fc.record({ kind: fc.constant("flip"), place, text: fc.constantFrom("\x01", "\x02", "\x10", "\x80") }),
    );
    const apply = (token: string, { kind, place, text }: { kind: string; place: number; text: string }): string => {
      const index = place % token.length;
      if (kind === "replace") return token.slice(0, index) + text + token.slice(index + 1);
      if (kind === "insert") return token.slice(0, index) + text + token.slice(index);
      if (kind === "cut") return token.slice(0, index) + token.slice(index + 1);
      // A bit of what a part stands for, so that the form stays right.
      const parts = token.split(".");
      const part = place % parts.length;
      const bytes = Buffer.from(parts[part] ?? "", "base64url");
      if (bytes.length === 0) return token;
      bytes.writeUInt8(bytes.readUInt8(place % bytes.length) ^ text.charCodeAt(0), place % bytes.length);
      parts[part] = bytes.toString("base64url");
      return parts.join(".");
    };
    let wellFormed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...tokens),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        async (token, changes) => {
          const changed = changes.reduce(apply, token);
          if (changed === token || changed === "") return;
          const verdict = await verify(changed);
          assert.equal(verdict.kind, "refused");
          if (verdict.kind === "refused" && verdict.code === "signature_invalid") wellFormed += 1;
        },
      ),
      { numRuns: 3000 },
    );
    assert.ok(wellFormed > 100, `only ${wellFormed} changed tokens came as far as the signature`);
  });

  test("takes nothing from claims but what was signed", async () => {
    const text = fc.string({ maxLength: 30 }).filter((value) => !/\p{Cc}/u.test(value));
    await fc.assert(
      fc.asyncProperty(text, fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), async (login, ref, extra) => {
        const signed = { ...extra, ...claims({ user_login: login, ref }) };
        const verdict = await verify(ec.sign(signed));
        if (verdict.kind !== "verified") return;
        assert.equal(verdict.claims.userLogin, login);
        assert.equal(verdict.claims.ref, ref);
        assert.equal(verdict.claims.texts.get("user_login"), login);
      }),
      { numRuns: 300 },
    );
  });
});

describe("idTokenHint()", () => {
  test("gives the lines of the job", () => {
    assert.equal(
      idTokenHint("SITE_ID_TOKEN", "https://gitlab.example.com"),
      '  id_tokens:\n    SITE_ID_TOKEN:\n      aud: "https://gitlab.example.com"\n',
    );
  });

  test("stays one value whatever the audience is", () => {
    assert.equal(idTokenHint("X", 'a"\n  b: c').split("\n").length, 4);
  });
});
