import assert from "node:assert/strict";
import { test } from "node:test";
import { currentAccount } from "./account.ts";

test("currentAccount() asks the system, not the environment", () => {
  const before = { HOME: process.env["HOME"], USER: process.env["USER"], LOGNAME: process.env["LOGNAME"] };
  Object.assign(process.env, { HOME: "/evil", USER: "evil", LOGNAME: "evil" });
  const account = currentAccount();
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  assert.equal(account.uid, process.getuid?.());
  assert.equal(account.gid, process.getgid?.());
  assert.ok(account.name !== "evil" && account.home !== "/evil" && account.home.startsWith("/"));
});
