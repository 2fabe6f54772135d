import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isJobId } from "./job.ts";
import { isJobKey, toJobKey } from "./job-key.ts";

const digest = "0123456789abcdef".repeat(4);

describe("toJobKey()", () => {
  test("joins the number and the beginning of the digest", () => {
    const id = "4242";
    assert.ok(isJobId(id));
    assert.equal(toJobKey(id, digest), "4242-0123456789ab");
    for (const none of ["", "0123456789a", "0123456789AB", "../../../../x"]) assert.throws(() => toJobKey(id, none));
  });
});

test("isJobKey() takes nothing that a path, a label or a filter would read as more than a name", () => {
  assert.ok(isJobKey("4242-0123456789ab"));
  for (const other of ["", "4242", "0-0123456789ab", "4242-0123456789ab\n", "4242-0123456789abc", "a=b", 4242, null]) {
    assert.ok(!isJobKey(other), String(other));
  }
});
