import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { type GitLabKeys, json, startGitLabKeys } from "../../auth/testing/gitlab-keys.ts";
import { ownSubject } from "../testing/own-subject.ts";
import { gitlab, judgeClock } from "./gitlab.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-doctor-gitlab-"));
after(() => rmSync(directory, { recursive: true }));

describe("the check gitlab", () => {
  let server: GitLabKeys;
  let caFile: string;
  before(async () => {
    server = await startGitLabKeys();
    caFile = join(directory, "ca.pem");
    writeFileSync(caFile, server.authority, { mode: 0o644 });
  });
  after(() => server.stop());
  beforeEach(() => server.behave(json(200, { keys: [] })));

  async function look(more = "", address = server.address): Promise<{ kind: string; text: string; names: string[] }> {
    const trusting = more.includes("tls-ca-file") ? "" : `tls-ca-file = "${caFile}"\n`;
    const subject = await ownSubject(`gitlab_server = "${address}"\n${trusting}${more}`, { PATH: "/usr/bin" });
    const outcome = await gitlab.look(subject);
    const findings = outcome.kind === "found" ? outcome.findings : [];
    const said =
      outcome.kind === "ok"
        ? outcome.text
        : outcome.kind === "skipped"
          ? outcome.why
          : findings.map(({ text }) => text).join();
    return { kind: outcome.kind, text: said, names: findings.map(({ name }) => name) };
  }

  const auth = '[auth]\ndownscope = "setuid"\n';

  test("finds nothing wrong with a server that answers with a trusted certificate", async () => {
    const { kind, text } = await look(auth);
    assert.equal(kind, "ok", text);
    assert.match(text, /answers, clocks differ by [01] s$/);
    assert.equal(server.requests.at(-1), "/oauth/discovery/keys");
  });

  test("has nothing to ask without a server", async () => {
    assert.equal((await gitlab.look(await ownSubject("", {}))).kind, "skipped");
  });

  test("finds a certificate that is not trusted, or has run out", async () => {
    const other = join(directory, "other.pem");
    const old = await startGitLabKeys({ days: -1 });
    try {
      writeFileSync(other, old.authority, { mode: 0o644 });
      assert.deepEqual((await look(`tls-ca-file = "${other}"\n`)).names, ["gitlab-untrusted"]);
      assert.deepEqual((await look(`tls-ca-file = "${other}"\n`, old.address)).names, ["gitlab-untrusted"]);
    } finally {
      await old.stop();
    }
  });

  test("finds that nobody listens, with the reason", async () => {
    const gone = await startGitLabKeys();
    await gone.stop();
    const { names, text } = await look("", gone.address);
    assert.deepEqual(names, ["gitlab-unreachable"]);
    assert.match(
      text,
      /^GitLab \(https:\/\/127\.0\.0\.1:\d+\) cannot be asked: the connection failed \(ECONNREFUSED\)$/,
    );
  });

  test("finds a server that publishes no keys, where tokens are verified", async () => {
    server.behave(json(404, {}));
    assert.deepEqual((await look(auth)).names, ["gitlab-no-keys"]);
    assert.deepEqual((await look()).names, []);
  });

  test("compares the clocks", async () => {
    const at = (seconds: number) => json(200, {}, { date: new Date(Date.now() + seconds * 1000).toUTCString() });
    server.behave(at(60));
    const behind = await look(auth);
    assert.deepEqual(behind.names, ["clock-behind"]);
    assert.match(behind.text, /^the clock of this machine is (?:59|60|61) s behind GitLab's/);
    assert.deepEqual((await look(`${auth}jwt_exp_delay = "2m"\n`)).names, []);
    server.behave(at(-120));
    assert.deepEqual((await look(auth)).names, ["clock-ahead"]);
  });
});

test("judgeClock() gives the five seconds that GitLab gives", () => {
  const names = (skew: number, slack: number) =>
    judgeClock(skew, slack, (name, text, advice) => ({ name, level: "wrong", text, advice })).map(({ name }) => name);
  assert.deepEqual(names(-6, 0), []);
  assert.deepEqual(names(-8, 0), ["clock-behind"]);
  assert.deepEqual(names(-8, 5), []);
  assert.deepEqual(names(59, 0), []);
  assert.deepEqual(names(61, 0), ["clock-ahead"]);
});
