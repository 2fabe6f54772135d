import assert from "node:assert/strict";
import { test } from "node:test";
import { defineCheck, skipped } from "./check.ts";
import type { Looked } from "./look.ts";
import { asText } from "./present.ts";

const check = defineCheck({
  name: "login",
  looksAt: "",
  network: false,
  ofMachine: false,
  explains: [],
  entries: {},
  look: () => Promise.resolve(skipped("")),
});

test("asText() says that there is a configuration which the account may not read, and counts what stays unknown", () => {
  const heading = { account: "alice", configuration: undefined, machineOnly: false };
  const looked: Looked[] = [
    { check, outcome: { kind: "ok", text: "0.0 s" }, milliseconds: 1 },
    { check, outcome: { kind: "unknown", why: "it did not end within 10 s" }, milliseconds: 1 },
  ];
  assert.equal(
    asText(heading, looked, "/etc/gitlab-runner/jacamar.toml"),
    `Looking as alice, with no configuration (alice may not read /etc/gitlab-runner/jacamar.toml): what a first one would have is looked at
ok       login              0.0 s
unknown  login              it did not end within 10 s
0 wrong, 0 warnings, 1 ok, 1 unknown
`,
  );
  const plain = asText({ ...heading, configuration: "/x.toml" }, looked.slice(0, 1));
  assert.match(plain, /^Looking as alice, with \/x\.toml\n[^]*\n0 wrong, 0 warnings, 1 ok\n$/);
});
