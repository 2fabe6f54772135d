import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isJobKey } from "../gitlab/job-key.ts";
import { selinuxLabels } from "./selinux.ts";

const key = "4242-0123456789ab";
assert.ok(isJobKey(key));

describe("selinuxLabels()", () => {
  test("labels as the specification does where SELinux is off", () => {
    for (const labelled of [true, false]) {
      assert.deepEqual(selinuxLabels(true, false, labelled, key), { volumes: "relabel", level: undefined });
    }
  });

  test("labels once, under one level, where it is on", () => {
    const first = selinuxLabels(true, true, false, key);
    assert.equal(first.volumes, "relabel");
    assert.deepEqual(selinuxLabels(true, true, true, key), { volumes: "keep", level: first.level });
  });

  test("does not label where the site does not want it", () => {
    for (const enabled of [true, false]) {
      assert.deepEqual(selinuxLabels(false, enabled, false, key), { volumes: "keep", level: undefined });
    }
  });

  test("gives every job two different categories, in order", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constant("1-000000000000"), fc.stringMatching(/^[1-9][0-9]{0,9}-[0-9a-f]{12}$/)),
        (any) => {
          assert.ok(isJobKey(any));
          const match = /^s0:c([0-9]+),c([0-9]+)$/.exec(selinuxLabels(true, true, false, any).level ?? "");
          const [low, high] = [Number(match?.[1]), Number(match?.[2])];
          assert.ok(low >= 0 && low < high && high < 1024, `${low} ${high}`);
        },
      ),
    );
  });
});
