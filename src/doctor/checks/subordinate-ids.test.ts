import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot, ownEtc } from "../../../test/harness/doctor.ts";
import { type IdRanges, judgeRanges, parseRanges, subidService } from "./subordinate-ids.ts";

const alice = { name: "alice", uid: 1005 };

/** The names of what is found, with the remedy. */
function judged(uid: string, gid = uid, numbers: readonly number[] = [0, 1005]): { names: string[]; remedy: string } {
  const ranges: IdRanges = { uid: parseRanges(uid), gid: parseRanges(gid) };
  const findings = judgeRanges(alice, ranges, numbers, (name, text, advice, remedy) => ({
    name,
    level: "wrong",
    text,
    advice,
    ...(remedy ? { remedy } : {}),
  }));
  return { names: findings.map(({ name }) => name), remedy: findings[0]?.remedy?.command ?? "" };
}

describe("judgeRanges()", () => {
  test("finds nothing wrong with an ordinary range, by name or by number", () => {
    for (const owner of ["alice", "1005"])
      assert.deepEqual(judged(`bob:100000:65536\n${owner}:165536:65536`).names, []);
    assert.deepEqual(judged("alice:100000:40000\nalice:200000:40000").names, []);
  });

  test("says which file has no line, and proposes a range above all others", () => {
    const bob = "bob:100000:65536";
    assert.deepEqual(judged(bob), {
      names: ["subordinate-ids-missing"],
      remedy: "usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice",
    });
    assert.deepEqual(judged(`${bob}\nalice:200000:65536`, bob).names, ["subordinate-ids-missing"]);
    assert.deepEqual(judged("").remedy, "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 alice");
    // Lines that newuidmap does not take are none.
    assert.deepEqual(judged("alice:x:65536\nalice:100000\n#alice:100000:65536").names, ["subordinate-ids-missing"]);
  });

  test("finds ranges that are too small, shared, or hold an account", () => {
    assert.deepEqual(judged("alice:100000:1000").names, ["subordinate-ids-few"]);
    assert.deepEqual(judged("alice:100000:65536\nbob:165535:65536").names, ["subordinate-ids-shared"]);
    assert.deepEqual(judged("alice:100000:65536\nbob:165536:65536").names, []);
    assert.deepEqual(judged("alice:1000:65536", "alice:100000:65536").names, ["subordinate-ids-real"]);
  });

  test("takes a range away that is shared or holds an account, and gives another", () => {
    const bob = "bob:165535:65536";
    assert.equal(
      judged(`alice:100000:65536\nalice:300000:65536\n${bob}`).remedy,
      "usermod --del-subuids 100000-165535 --add-subuids 365536-431071 --del-subgids 100000-165535 --add-subgids 365536-431071 alice",
    );
    assert.equal(
      judged(`alice:100000:65536\n${bob}`, "alice:400000:65536").remedy,
      "usermod --del-subuids 100000-165535 --add-subuids 465536-531071 alice",
    );
    assert.equal(
      judged("alice:1000:65536", "alice:100000:65536").remedy,
      "usermod --del-subuids 1000-66535 --add-subuids 165536-231071 alice",
    );
  });
});

test("subidService() knows a service in place of the files", () => {
  assert.equal(subidService("passwd: files sss\nsubid: sss\n"), "sss");
  assert.equal(subidService("subid: files\n"), undefined);
  assert.equal(subidService("passwd: files\n"), undefined);
});

describe("the check subordinate-ids", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("subids");
  });
  after(() => bench.close());

  test("finds nothing wrong with a new account", async () => {
    const { kind, text, exitCode } = await bench.look("subordinate-ids");
    assert.deepEqual([kind, text, exitCode], ["ok", "65536 for users, 65536 for groups", 0]);
  });

  test("finds the missing line", async () => {
    const { findings, exitCode } = await bench.look(
      "subordinate-ids",
      `${ownEtc}; sed -i "/^$user:/d" /etc/subuid /etc/subgid`,
    );
    assert.equal(exitCode, 1);
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text]),
      [["subordinate-ids-missing", `rootless Podman has no subordinate ids for ${bench.user.name}`]],
    );
    assert.match(
      findings[0]?.command ?? "",
      new RegExp(`^usermod --add-subuids \\d+-\\d+ --add-subgids \\d+-\\d+ ${bench.user.name}$`),
    );
  });

  test("finds that two accounts share a range", async () => {
    const { findings } = await bench.look(
      "subordinate-ids",
      `${ownEtc}; sed -n "s/^$user:/somebody:/p" /etc/subuid > $work/more; cat $work/more >> /etc/subuid`,
    );
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text.includes("somebody")]),
      [["subordinate-ids-shared", true]],
    );
  });
});
