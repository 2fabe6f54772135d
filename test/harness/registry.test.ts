import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, describe, test } from "node:test";
import { asUser, testUser } from "./machine.ts";
import { basicAuth, startRegistry } from "./registry.ts";

const user = testUser();

describe("startRegistry()", () => {
  const registry = startRegistry({ "gitlab-ci-token": "job:token", "someone else": "pass word" });
  after(() => registry.stop());

  test("lets in whom it knows, and nobody else", async () => {
    async function status(authorization?: string): Promise<number> {
      const headers = authorization === undefined ? {} : { authorization: `Basic ${authorization}` };
      return (await fetch(`http://${registry.host}/v2/`, { headers })).status;
    }
    assert.equal(await status(), 401);
    assert.equal(await status(basicAuth("gitlab-ci-token", "job:token")), 200);
    assert.equal(await status(basicAuth("someone else", "pass word")), 200);
    assert.equal(await status(basicAuth("gitlab-ci-token", "other")), 401);
  });

  test("takes an image that the user can pull only with the password", async () => {
    const name = await registry.push(user, "localhost/jacamar-busybox", "group/project/app:1");
    assert.equal(name, `${registry.host}/group/project/app:1`);
    const refused = await asUser(user, ["podman", "pull", "--quiet", name]);
    assert.equal(refused.exitCode, 125);
    assert.match(refused.stderr, /unauthorized/);
  });
});

test("startRegistry() without passwords serves everybody, and stop() leaves nothing", async () => {
  const registry = startRegistry("anonymous");
  const name = await registry.push(user, "localhost/jacamar-busybox", "public:1");
  const pulled = await asUser(user, ["podman", "pull", "--quiet", name]);
  assert.equal(pulled.exitCode, 0, pulled.stderr);
  await asUser(user, ["podman", "rmi", name]);
  registry.stop();
  registry.stop();
  assert.equal(existsSync(registry.stateDirectory), false);
  await assert.rejects(fetch(`http://${registry.host}/v2/`));
});
