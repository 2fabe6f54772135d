import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { applyLists, applyShellList, type Lists } from "./lists.ts";

const alice = { name: "alice", groups: ["alice", "staff", "domain users"], namelessGroups: [], shell: "/bin/bash" };
const none: Lists = {
  user_allowlist: undefined,
  user_blocklist: undefined,
  groups_allowlist: undefined,
  groups_blocklist: undefined,
  shell_allowlist: undefined,
};

const states = ["named", "others", "unset"] as const;
type State = (typeof states)[number];
type Case = readonly [State, State, State, State];

const users = { named: ["bob", "alice"], others: ["bob"], unset: undefined };
const groups = { named: ["wheel", "domain users"], others: ["wheel"], unset: undefined };

function verdict([userBlock, userAllow, groupBlock, groupAllow]: Case): string {
  const { allowed } = applyLists(alice, {
    ...none,
    user_blocklist: users[userBlock],
    user_allowlist: users[userAllow],
    groups_blocklist: groups[groupBlock],
    groups_allowlist: groups[groupAllow],
  });
  return allowed ? "allowed" : "refused";
}

interface Row {
  readonly text: string;
  readonly cells: readonly (readonly string[])[];
  readonly job: string;
}

/** The table of the documentation whose header names the lists. */
function documentedRows(): Row[] {
  const text = readFileSync(join(import.meta.dirname, "../../docs/authorization.md"), "utf8");
  const lines = text.split("\n");
  const header = "| `user_blocklist` | `user_allowlist` | `groups_blocklist` | `groups_allowlist` | job |";
  const start = lines.indexOf(header);
  assert.notEqual(start, -1, "docs/authorization.md has lost its table of lists");
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).map((line) => {
    const [, ...cells] = line.split("|").map((cell) => cell.trim());
    const job = cells[4] ?? "";
    assert.match(job, /^(allowed|refused)$/, line);
    const meant = cells.slice(0, 4).map((cell) => (cell === "any" ? [...states] : cell.split(", ")));
    for (const state of meant.flat())
      assert.ok(
        states.some((known) => known === state),
        `${state} in ${line}`,
      );
    return { text: line, cells: meant, job };
  });
}

const every: Case[] = states.flatMap((a) =>
  states.flatMap((b) => states.flatMap((c) => states.map((d): Case => [a, b, c, d]))),
);

describe("applyLists() and the table of docs/authorization.md", () => {
  const rows = documentedRows();
  const taken = new Map<Row, Case[]>(rows.map((row) => [row, []]));
  for (const one of every) {
    const row = rows.find(({ cells }) => cells.every((meant, column) => meant.includes(one[column] ?? "")));
    assert.ok(row, `no line of the table fits ${one.join(", ")}`);
    taken.get(row)?.push(one);
  }
  for (const [row, cases] of taken) {
    test(row.text, () => {
      assert.notEqual(cases.length, 0, "the lines above leave nothing for this one");
      for (const one of cases) assert.equal(verdict(one), row.job, one.join(", "));
    });
  }
});

describe("applyLists()", () => {
  test("takes an empty allowlist for one that names nobody", () => {
    assert.equal(applyLists(alice, { ...none, user_allowlist: [] }).allowed, false);
    assert.equal(applyLists(alice, { ...none, groups_allowlist: [] }).allowed, false);
    assert.equal(applyLists(alice, { ...none, user_blocklist: [], groups_blocklist: [] }).allowed, true);
  });

  // A name service that has lost a part of its answers must not let in whom the administrator shuts out.
  test("lets nobody in whose groups may be blocked ones, because they have no name now", () => {
    const lost = { ...alice, groups: ["alice"], namelessGroups: [4711] };
    const blocked = { ...none, groups_blocklist: ["domain users"] };
    assert.partialDeepStrictEqual(applyLists(lost, blocked), { allowed: false, unsure: true });
    assert.equal(applyLists(lost, { ...blocked, groups_allowlist: ["alice"] }).allowed, false);
    assert.equal(applyLists(lost, { ...blocked, user_allowlist: ["alice"] }).allowed, true);
    assert.equal(applyLists(lost, { ...none, groups_blocklist: [] }).allowed, true);
    assert.equal(applyLists(lost, { ...none, groups_allowlist: ["alice"] }).allowed, true);
  });

  test("compares byte for byte: no case, no space, no part of a name, no number", () => {
    for (const entry of ["Alice", "alice ", "alic", "*", ".*", "1001", "@staff"]) {
      assert.equal(applyLists(alice, { ...none, user_allowlist: [entry] }).allowed, false, entry);
      assert.equal(applyLists(alice, { ...none, user_blocklist: [entry] }).allowed, true, entry);
    }
    for (const entry of ["Staff", "domain", "users", "domain  users", "staff,domain users"]) {
      assert.equal(applyLists(alice, { ...none, groups_allowlist: [entry] }).allowed, false, entry);
      assert.equal(applyLists(alice, { ...none, groups_blocklist: [entry] }).allowed, true, entry);
    }
  });
});

describe("applyShellList()", () => {
  test("wants one of the shells, whatever the other lists say", () => {
    assert.equal(applyShellList(alice, none).allowed, true);
    assert.equal(applyShellList(alice, { ...none, shell_allowlist: ["/bin/zsh", "/bin/bash"] }).allowed, true);
    assert.equal(applyShellList(alice, { ...none, shell_allowlist: ["/bin/zsh"] }).allowed, false);
    assert.equal(applyShellList(alice, { ...none, shell_allowlist: [] }).allowed, false);
    const nobody = { name: "x", groups: [], namelessGroups: [], shell: undefined };
    assert.equal(applyShellList(nobody, { ...none, shell_allowlist: ["/bin/bash"] }).allowed, false);
    assert.equal(applyShellList(nobody, none).allowed, true);
  });
});
