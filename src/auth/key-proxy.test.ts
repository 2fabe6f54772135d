import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { routeTo } from "./key-proxy.ts";

const proxy = { HTTPS_PROXY: "http://proxy.example.com:3128" };
const gitlab = "https://gitlab.example.com/oauth/discovery/keys";
const kind = (address: string, environment: Record<string, string>) => routeTo(new URL(address), environment).kind;

describe("routeTo()", () => {
  test("goes straight where no proxy is named", () => {
    for (const environment of [{}, { HTTPS_PROXY: "" }, { HTTP_PROXY: "http://p:1" }, { NO_PROXY: "*" }]) {
      assert.equal(kind(gitlab, environment), "direct");
    }
  });

  const addresses: readonly (readonly [value: string, address: string, shown: string])[] = [
    ["http://proxy:3128", "http://proxy:3128/", "http://proxy:3128"],
    ["https://proxy", "https://proxy/", "https://proxy"],
    // Go, curl: a proxy without a scheme is an http one. Node.js would leave it out and go straight.
    ["proxy:3128", "http://proxy:3128/", "http://proxy:3128"],
    ["http://me:pass%20word@proxy:3128", "http://me:pass%20word@proxy:3128/", "http://proxy:3128"],
  ];
  for (const [value, address, shown] of addresses) {
    test(`understands ${value}`, () => {
      assert.deepEqual(routeTo(new URL(gitlab), { HTTPS_PROXY: value }), { kind: "proxy", address, shown });
      assert.deepEqual(routeTo(new URL(gitlab), { https_proxy: value }), { kind: "proxy", address, shown });
    });
  }

  for (const value of [
    "socks5://me:secret@proxy",
    "http://",
    "http://me:secret@proxy:99999",
    "http://me%zz:secret@p",
  ]) {
    test(`refuses ${value}, without repeating its password`, () => {
      const route = routeTo(new URL(gitlab), { HTTPS_PROXY: value });
      assert.ok(route.kind === "unusable");
      assert.doesNotMatch(route.why, /secret/);
    });
  }

  const exceptions: readonly (readonly [exception: string, host: string, kind: "direct" | "proxy"])[] = [
    ["*", "gitlab.example.com", "direct"],
    ["gitlab.example.com", "gitlab.example.com", "direct"],
    ["GitLab.Example.com", "gitlab.example.com", "direct"],
    ["example.com", "gitlab.example.com", "direct"],
    [".example.com", "gitlab.example.com", "direct"],
    ["*.example.com", "gitlab.example.com", "direct"],
    [".example.com", "example.com", "proxy"],
    ["ample.com", "gitlab.example.com", "proxy"],
    ["gitlab.example.com.evil", "gitlab.example.com", "proxy"],
    ["a, example.com ,b", "gitlab.example.com", "direct"],
    ["a,,b", "gitlab.example.com", "proxy"],
    ["example.com:443", "gitlab.example.com", "direct"],
    ["example.com:8443", "gitlab.example.com", "proxy"],
    ["example.com:8443", "gitlab.example.com:8443", "direct"],
    ["10.0.0.0/8", "10.1.2.3", "direct"],
    ["10.0.0.0/8", "11.1.2.3", "proxy"],
    ["10.0.0.0/99", "10.1.2.3", "proxy"],
    ["10.0.0.0/x", "10.1.2.3", "proxy"],
    ["10.0.0.0/8", "gitlab.example.com", "proxy"],
    ["10.1.2.3", "10.1.2.3", "direct"],
    ["10.1.2.3:8443", "10.1.2.3", "proxy"],
    ["1.2.3", "10.1.2.3", "proxy"],
    ["fd00::/8", "[fd00::1]", "direct"],
    ["[fd00::1]:443", "[fd00::1]", "direct"],
    ["fd00::1", "[fd00::2]", "proxy"],
    ["", "127.0.0.1", "direct"],
    ["", "localhost:8443", "direct"],
  ];
  for (const [exception, host, expected] of exceptions) {
    test(`with NO_PROXY="${exception}", ${host} is asked ${expected === "direct" ? "directly" : "by proxy"}`, () => {
      assert.equal(kind(`https://${host}/`, { ...proxy, NO_PROXY: exception }), expected);
      assert.equal(kind(`https://${host}/`, { ...proxy, no_proxy: exception }), expected);
    });
  }
});
