import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Behaviour } from "../../harness/gitlab.ts";
import { type Ended, testUser } from "../../harness/machine.ts";
import { type DoorJob, makePlace, type Place, skip } from "./support/place.ts";

const user = testUser();
const refusedLine = /^ERROR: This job may not run here \(id [0-9a-f]{12}\)\n/;
const undecidedLine =
  /^ERROR: It cannot be found out whose this job is \(id ([0-9a-f]{12})\)\n {2}The administrators find/;

describe("jacamar-auth asks a GitLab with a certificate of the site's own authority", { skip }, () => {
  let place: Place;
  let log: string;
  let cache: string;
  before(async () => {
    place = await makePlace("gitlab", "https");
    log = join(place.stage.directory, "decisions.log");
    cache = `/var/cache/jacamar/keys-${encodeURIComponent(place.gitlab.url)}.json`;
  });
  after(() => place.remove());
  beforeEach(() => place.gitlab.behave(undefined));

  it("once for its keys and once for a person, and then not at all", async () => {
    const { gitlab } = place;
    for (let round = 0; round < 3; round += 1) {
      const config = await decide();
      assert.equal(config.exitCode, 0, config.stderr);
    }
    assert.deepEqual([gitlab.requests(), gitlab.questions()], [1, 1]);
    assert.match(last(), /GitLab has said before that it is a person's/);
    gitlab.behave(() => assert.fail("nothing is asked"));
    const config = await decide();
    assert.equal(config.exitCode, 0, config.stderr);
  });

  it("for a new key, at most once a minute", async () => {
    const { gitlab } = place;
    gitlab.rotate();
    const before = gitlab.requests();
    const early = await decide();
    assert.equal(early.exitCode, 1);
    assert.match(early.stderr, refusedLine);
    assert.match(last(), /does not publish that key.*once a minute.*key_unknown/);
    assert.equal(gitlab.requests(), before, "a minute has not passed");
    aMinuteAgo();
    const config = await decide();
    assert.equal(config.exitCode, 0, config.stderr);
    assert.equal(gitlab.requests(), before + 1);
  });

  const failures: readonly (readonly [what: string, behaviour: Behaviour, why: RegExp])[] = [
    ["answers with an error", (_request, response) => void response.writeHead(503).end(), /HTTP status 503/],
    ["answers with something else", (_request, response) => void response.end("<html>"), /not JSON/],
    ["answers with 10 MB", (_request, response) => void response.end("x".repeat(10 * 2 ** 20)), /longer than 262144/],
    [
      "redirects elsewhere",
      (_request, response) => void response.writeHead(302, { location: "https://localhost:1/keys" }).end(),
      /redirects elsewhere/,
    ],
    ["hangs up", (request) => void request.socket.destroy(), /the connection failed/],
    ["never answers", () => undefined, /did not answer within 10 seconds/],
    [
      "answers byte for byte, for ever",
      (request, response) => {
        const timer = setInterval(() => response.write(" "), 500);
        request.socket.once("close", () => clearInterval(timer));
      },
      /did not answer within 10 seconds/,
    ],
  ];
  for (const [what, behaviour, why] of failures) {
    it(`that ${what}: a job with a cached key runs, one without does not, and only the log says why`, async () => {
      const known = await decide();
      assert.equal(known.exitCode, 0, known.stderr);
      place.gitlab.behave(behaviour);
      assert.equal((await decide()).exitCode, 0);
      rmSync(cache);
      const config = await decide();
      assert.equal(config.exitCode, 2, config.stderr);
      const [, id] = undecidedLine.exec(config.stderr) ?? [];
      assert.ok(id !== undefined, config.stderr);
      const hint = `  Check from this machine: curl ${place.gitlab.url}/oauth/discovery/keys\n`;
      assert.ok(config.stderr.endsWith(`under this id.\n${hint}`) && config.stderr.split("\n").length === 4, "no more");
      assert.match(last(), new RegExp(`"id":"${id}","decision":"refused"`));
      assert.match(last(), why);
      const shown = await decide({ unobfuscated: true });
      assert.match(shown.stderr, why);
    });
  }

  it("whose certificate nobody knows: no job runs", async () => {
    rmSync(cache, { force: true });
    const stranger = join(place.stage.directory, "stranger.pem");
    const { TestAuthority } = await import("../../../src/auth/testing/certificates.ts");
    writeFileSync(stranger, new TestAuthority().certificate, { mode: 0o644 });
    const authority = join(place.stage.directory, "authority.pem");
    const right = readFileSync(authority);
    writeFileSync(authority, readFileSync(stranger));
    const config = await decide();
    writeFileSync(authority, right);
    assert.equal(config.exitCode, 2);
    assert.match(last(), /its certificate is not trusted/);
  });

  describe("for a service account with the login of a person here", () => {
    /** A user of GitLab that nobody has asked for yet has the login of the test user. */
    function impostor(as: "person" | "bot" | "unknown", options: DoorJob = {}): Promise<Ended> {
      place.gitlab.treat(user.name, as);
      const people = `/var/cache/jacamar/people-${encodeURIComponent(place.gitlab.url)}`;
      rmSync(people, { recursive: true, force: true });
      return decide(options).finally(() => place.gitlab.treat(user.name, "person"));
    }

    it("is refused, though nothing in its token shows it", async () => {
      const config = await impostor("bot");
      assert.equal(config.exitCode, 1, config.stderr);
      assert.match(config.stderr, refusedLine);
      assert.match(last(), /bot: refuse: GitLab says that it is a bot or service account/);
      assert.equal((await impostor("person")).exitCode, 0, "the control: a person");
    });

    it("is refused while GitLab does not say what it is, as the site's fault", async () => {
      const config = await impostor("unknown");
      assert.equal(config.exitCode, 2, config.stderr);
      assert.match(last(), /bot: refuse: GitLab was asked at https:.*HTTP status 404/);
    });

    it("is not asked for with ask_account_kind = false", async () => {
      const before = place.gitlab.questions();
      const config = await impostor("bot", { auth: "ask_account_kind = false" });
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(place.gitlab.questions(), before);
      assert.match(last(), /GitLab was not asked/);
    });

    it("may run with allow_bot_accounts only where user_allowlist names it", async () => {
      const bare = await impostor("bot", { auth: "allow_bot_accounts = true" });
      assert.equal(bare.exitCode, 1, bare.stderr);
      assert.match(last(), /somebody chose the name of the bot/);
      const auth = `allow_bot_accounts = true\nuser_allowlist = ["${user.name}"]`;
      assert.equal((await impostor("bot", { auth })).exitCode, 0);
    });
  });

  async function decide(options: DoorJob = {}): Promise<Ended> {
    const job = place.job("setuid as root", { logging: `location = "${log}"`, ...options });
    const config = await job.config();
    job.remove();
    assert.equal(config.stdout === "", config.exitCode !== 0);
    return config;
  }

  /** The newest entry of the log. */
  function last(): string {
    return readFileSync(log, "utf8").trimEnd().split("\n").at(-1) ?? "";
  }

  /** Makes the cache believe that the server was asked more than a minute ago. */
  function aMinuteAgo(): void {
    const text = readFileSync(cache, "utf8");
    const earlier = text.replace(/"startedAt":(\d+)/, (_whole, at) => `"startedAt":${Number(at) - 61_000}`);
    writeFileSync(cache, earlier);
  }
});
