import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMountInfo } from "../mounts.ts";
import { judgeSelinux } from "./selinux.ts";

// No machine of the tests has SELinux: what it would make of a mount is judged from the mount's own line.
const labelled = "36 35 0:40 / /home rw,seclabel - ext4 /dev/sda1 rw,seclabel";
const unlabelled = "36 35 0:40 / /home rw - nfs4 server:/home rw";

function judged(line: string, labels: boolean, disabled = false): string[] {
  const report: Parameters<typeof judgeSelinux>[1] = (name, text, advice) => ({ name, level: "wrong", text, advice });
  return judgeSelinux({ base: "/home/alice/ci", labels, disabled, mount: parseMountInfo(line)[0] }, report).map(
    ({ name }) => name,
  );
}

test("judgeSelinux() compares the configuration with what the file system can", () => {
  assert.deepEqual(judged(labelled, true), []);
  assert.deepEqual(judged(unlabelled, false), []);
  assert.deepEqual(judged(unlabelled, true), ["selinux-no-labels"]);
  assert.deepEqual(judged(labelled, false), ["selinux-unlabelled"]);
  assert.deepEqual(judged(labelled, false, true), []);
});
