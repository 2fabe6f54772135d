import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { accountKind, kindFromAnswer, type KindSourceOptions } from "./account-kind.ts";
import { keyServer } from "./key-server.ts";
import { type GitLabKeys, json, startGitLabKeys } from "./testing/gitlab-keys.ts";
import { privateDirectory } from "./testing/private-directory.ts";

const asked = { jobId: "302", userId: "7", userLogin: "alice" };
const token = "glcbt-64_Secret";
const notRoot = process.getuid?.() !== 0 && "only root can make files of another owner";

function answer(user: object, id: unknown = 302): object {
  return { id, status: "running", user: { id: 7, username: "alice", bot: false, ...user } };
}

describe("kindFromAnswer()", () => {
  test("believes GitLab's word on this job and this user", () => {
    assert.equal(kindFromAnswer(answer({}), asked).kind, "person");
    assert.equal(kindFromAnswer(answer({ bot: true }), asked).kind, "bot");
  });

  test("knows nothing from any other answer", () => {
    const others = [
      answer({ id: 8 }),
      answer({ username: "bob" }),
      answer({ username: "Alice" }),
      answer({}, 303),
      answer({}, "302"),
      answer({ bot: "no" }),
      answer({ bot: null }),
    ];
    for (const other of [...others, {}, null, "x", [], { id: 302 }, answer({ bot: undefined })]) {
      assert.equal(kindFromAnswer(other, asked).kind, "unknown", JSON.stringify(other));
    }
  });
});

const root = privateDirectory();
let count = 0;
/** A GitLab that says this of the job, and what a driver knows of it. */
async function site(body: unknown, status = 200): Promise<{ gitlab: GitLabKeys; options: KindSourceOptions }> {
  count += 1;
  const place = join(root, `${count}`);
  mkdirSync(place, { mode: 0o700 });
  const gitlab = await startGitLabKeys();
  after(() => gitlab.stop());
  gitlab.behave((request, response) => {
    const known = request.url === "/api/v4/job" && request.headers["job-token"] === token;
    json(known ? status : 401, body)(request, response);
  });
  const tlsCaFile = join(place, "ca.pem");
  writeFileSync(tlsCaFile, gitlab.authority, { mode: 0o600 });
  const options = { server: keyServer(gitlab.address), jobToken: token, tlsCaFile, environment: {} };
  return { gitlab, options: { ...options, cacheDirectory: join(place, "cache"), limitMilliseconds: 1000 } };
}

describe("accountKind()", () => {
  test("asks GitLab once for a person, and never again", async () => {
    const { gitlab, options } = await site(answer({}));
    assert.deepEqual(await accountKind(asked, options), {
      kind: "person",
      detail: "GitLab says that it is a person's",
    });
    await gitlab.stop();
    const again = await accountKind({ ...asked, jobId: "303" }, options);
    assert.deepEqual(again, { kind: "person", detail: "GitLab has said before that it is a person's" });
    assert.deepEqual(gitlab.requests, ["/api/v4/job"]);
    assert.equal((await accountKind({ ...asked, userId: "8" }, options)).kind, "unknown", "another user is not known");
  });

  test("asks for a bot each time, and for a person of each server", async () => {
    const { gitlab, options } = await site(answer({ bot: true }));
    for (let round = 0; round < 2; round += 1) assert.equal((await accountKind(asked, options)).kind, "bot");
    assert.equal(gitlab.requests.length, 2);
    const first = await site(answer({}));
    assert.equal((await accountKind(asked, first.options)).kind, "person");
    const other = { ...options, cacheDirectory: first.options.cacheDirectory };
    assert.equal((await accountKind(asked, other)).kind, "bot", "the same number at another server");
  });

  test("does not know when GitLab does not tell, and says why", async () => {
    for (const [body, status, why] of [
      [{}, 401, /HTTP status 401/],
      [answer({}), 500, /HTTP status 500/],
      ["no JSON", 200, /not JSON/],
      [{}, 200, /does not tell/],
      [answer({ id: 8 }), 200, /on another user/],
    ] as const) {
      const { options } = await site(body, status);
      const { kind, detail } = await accountKind(asked, options);
      assert.equal(kind, "unknown");
      assert.match(detail, why);
      assert.equal(detail.includes(token), false);
    }
    const { gitlab, options } = await site({});
    gitlab.behave(() => undefined);
    assert.match((await accountKind(asked, { ...options, limitMilliseconds: 200 })).detail, /did not answer within/);
    for (const jobToken of ["", "a\r\nx: y", "ü"]) {
      assert.match((await accountKind(asked, { ...options, jobToken })).detail, /no token to ask with/);
    }
  });

  test("gives the job's token to the server alone: not where a redirect leads, not without its certificate", async () => {
    const { gitlab, options } = await site({});
    const thief = await startGitLabKeys();
    after(() => thief.stop());
    gitlab.behave(json(302, {}, { location: `${thief.address}/api/v4/job` }));
    assert.match((await accountKind(asked, options)).detail, /redirects elsewhere/);
    const impostor = { ...options, server: keyServer(thief.address) };
    assert.match((await accountKind(asked, impostor)).detail, /certificate is not trusted/);
    assert.deepEqual(thief.requests, []);
  });

  test("remembers nobody where others could have written it, and asks each time", async () => {
    const spoils: readonly ((people: string) => void)[] = [
      (people) => chmodSync(people, 0o770),
      (people) => chmodSync(join(people, ".."), 0o777),
    ];
    for (const spoil of spoils) {
      const { gitlab, options } = await site(answer({}));
      await accountKind(asked, options);
      const [name = ""] = readdirSync(options.cacheDirectory);
      const people = join(options.cacheDirectory, name);
      assert.equal(statSync(people).mode & 0o777, 0o700);
      spoil(people);
      const { kind, detail } = await accountKind(asked, options);
      assert.equal(kind, "person");
      assert.match(detail, /people are not remembered: ".*" is open to others/);
      assert.equal(gitlab.requests.length, 2);
    }
  });

  test("takes no link, directory or file of somebody else's for a person", { skip: notRoot }, async () => {
    const plants: readonly ((file: string) => void)[] = [
      (file) => symlinkSync("/etc/passwd", file),
      (file) => mkdirSync(file),
      (file) => {
        writeFileSync(file, "", { mode: 0o600 });
        chownSync(file, 65_534, 65_534);
      },
    ];
    for (const plant of plants) {
      const { options } = await site(answer({ bot: true }));
      await accountKind({ ...asked, userId: "1" }, options);
      const [name = ""] = readdirSync(options.cacheDirectory);
      plant(join(options.cacheDirectory, name, "7"));
      const { kind, detail } = await accountKind(asked, options);
      assert.equal(kind, "bot");
      assert.match(detail, /people are not remembered/);
    }
  });
});
