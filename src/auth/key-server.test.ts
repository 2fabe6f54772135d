import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isLoopback, keyServer } from "./key-server.ts";

describe("keyServer()", () => {
  const table: readonly (readonly [address: string, issuer: string])[] = [
    ["https://gitlab.example.com", "https://gitlab.example.com"],
    ["https://gitlab.example.com/", "https://gitlab.example.com"],
    ["https://gitlab.example.com/sub//", "https://gitlab.example.com/sub"],
    ["https://gitlab.example.com:8443", "https://gitlab.example.com:8443"],
    // Nothing else is made equal: the issuer is compared to the letter.
    ["https://GitLab.example.com:443", "https://GitLab.example.com:443"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["http://localhost:8080/", "http://localhost:8080"],
    ["http://[::1]:8080", "http://[::1]:8080"],
  ];
  for (const [address, issuer] of table) {
    test(`takes ${address}`, () => {
      const keysUrl = `${issuer}/oauth/discovery/keys`;
      assert.deepEqual(keyServer(address), { issuer, keysUrl, jobUrl: `${issuer}/api/v4/job` });
    });
  }

  const refused: readonly string[] = [
    "gitlab.example.com",
    "",
    "http://gitlab.example.com",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "http://[::2]",
    "ftp://gitlab.example.com",
    "file:///etc",
    "https://user:secret@gitlab.example.com",
    "https://secret@gitlab.example.com",
    "https://gitlab.example.com/?a=secret",
    "https://gitlab.example.com/#a",
    "https://gitlab.example.com\\@evil",
    "https://gitlab.example.com/ x",
    " https://gitlab.example.com",
  ];
  for (const address of refused) {
    test(`refuses ${JSON.stringify(address)}`, () => {
      assert.throws(() => keyServer(address), {
        code: "config_invalid",
        message: /^(?!.*secret)\[general\] gitlab_server /,
      });
    });
  }
});

test("isLoopback() believes no name but localhost", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"]) assert.ok(isLoopback(host), host);
  for (const host of ["128.0.0.1", "127.0.0.1.x", "x.localhost", "[::]", "0.0.0.0"]) assert.ok(!isLoopback(host), host);
});
