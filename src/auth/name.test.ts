import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isAccountName, isLogin } from "./name.ts";
import { hostileNames } from "../account/testing/hostile-names.ts";

describe("isAccountName()", () => {
  test("takes the names that useradd, SSSD and POSIX know", () => {
    for (const name of [
      "a",
      "_",
      "alice",
      "Alice",
      "a-b",
      "a_b",
      "a.b",
      "first.last",
      "u1",
      "_apt",
      "jact-1",
      "a".repeat(32),
    ]) {
      assert.equal(isAccountName(name), true, name);
    }
  });

  test("refuses whatever could be read as something else", () => {
    for (const name of hostileNames) assert.equal(isAccountName(name), false, JSON.stringify(name));
  });
});

describe("isLogin()", () => {
  test("takes GitLab's logins, also those that no account can have", () => {
    for (const login of ["alice", "1alice", "1001", ".alice", "_", "a.b-c", `project_1_bot_${"0".repeat(32)}`]) {
      assert.equal(isLogin(login), true, login);
    }
  });

  test("refuses what GitLab never gives", () => {
    const refused = [
      "",
      "-a",
      ".",
      "..",
      "alice.",
      "a b",
      "a\n",
      "a\0",
      "a/b",
      "a:b",
      "a@b",
      "é",
      "a".repeat(256),
      "a$",
    ];
    for (const login of refused) assert.equal(isLogin(login), false, JSON.stringify(login));
  });
});
