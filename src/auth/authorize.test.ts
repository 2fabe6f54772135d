import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import * as v from "valibot";
import type { AccountAnswer, SystemAccount } from "../account/lookup.ts";
import type { AccountKind } from "./account-kind.ts";
import { configSchema } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import { type JobId, parseJob } from "../gitlab/job.ts";
import { type AuthorizeInput, type Decision, decide, type VerifiedClaims } from "./authorize.ts";
import type { AuthConfig } from "./lists.ts";
import { refusals, type RefusalCode } from "./reasons.ts";
import type { RunAsAnswer, RunAsQuestion } from "./runas.ts";
import { hostileNames } from "../account/testing/hostile-names.ts";

const job = parseJob(
  '{"id": 302, "job_info": {"project_id": 20, "pipeline_id": 574}, "git_info": {"repo_url": "https://gitlab.example.org/g/p.git"}}',
);
const runnerUid = 1900;

function entry(name: string, uid: number, gid = uid): SystemAccount {
  return { name, uid, gid, home: `/home/${name}`, shell: "/bin/bash", gecos: "" };
}

const people = [entry("alice", 1001), entry("bob", 1002), entry("runner", runnerUid), entry("long.name-1", 70_000)];
const system = [entry("root", 0), entry("toor", 0), entry("daemon", 1), entry("svc", 999), entry("nobody", 65_534)];
const machine = new Map([...people, ...system].map((account) => [account.name, account]));
const groups = [
  { gid: 1001, name: "alice" },
  { gid: 50, name: "domain users" },
  { gid: 77, name: undefined },
];

const general = { executor: "shell", data_dir: "/data" };
const parsed = v.parse(configSchema, { general, auth: { downscope: "setuid" } }).auth;
assert.ok(parsed);
const auth: AuthConfig = parsed;
const runas = { validation_script: "/etc/runas", sha256: undefined, user_variable: "RUNAS_USER", validation_env: [] };

const claims: VerifiedClaims = {
  userLogin: "alice",
  userId: "7",
  userEmail: "alice@example.org",
  userIdentities: [],
  pipelineId: "574",
  pipelineSource: "push",
  jobId: "302",
  texts: new Map([["user_login", "alice"]]),
};

const look = async (name: string): Promise<AccountAnswer> => {
  const account = machine.get(name);
  return account
    ? { found: true, account }
    : { found: false, why: "unknown", detail: "the name service does not know it" };
};

function mapped(username: string, more: Partial<Extract<RunAsAnswer, { mapped: true }>> = {}): RunAsAnswer {
  return {
    mapped: true,
    username,
    dataDir: undefined,
    userMessage: undefined,
    scriptLog: "",
    detail: "mapped",
    ...more,
  };
}

/** What GitLab says of whoever is asked for. */
function says(kind: AccountKind["kind"]): () => Promise<AccountKind> {
  return async () => ({ kind, detail: `GitLab says ${kind}` });
}

function input(more: Partial<AuthorizeInput> & { login?: string } = {}): AuthorizeInput {
  return {
    claims: { ...claims, ...(more.login === undefined ? {} : { userLogin: more.login }) },
    job,
    auth,
    wish: () => undefined,
    accounts: { account: look, groups: async () => groups },
    runAs: undefined,
    accountKind: undefined,
    uidMin: 1000,
    euid: 0,
    ...more,
  };
}

async function refusedWith(code: RefusalCode, more: Parameters<typeof input>[0]): Promise<Decision> {
  const decision = await decide(input(more));
  assert.equal(decision.allowed ? `allowed as ${decision.account.name}` : decision.code, code);
  assert.equal(decision.reasons.at(-1)?.verdict, "refuse");
  assert.equal(decision.reasons.filter(({ verdict }) => verdict === "refuse").length, 1);
  return decision;
}

async function allowedAs(name: string, more: Parameters<typeof input>[0] = {}): Promise<Decision> {
  const decision = await decide(input(more));
  assert.ok(decision.allowed, decision.allowed ? "" : JSON.stringify(decision.reasons.at(-1)));
  assert.equal(decision.account, machine.get(name));
  return decision;
}

describe("decide()", () => {
  test("gives a job to the account of the token's login, and says why", async () => {
    const decision = await allowedAs("alice");
    assert.deepEqual(
      decision.reasons.map(({ rule, verdict }) => `${rule} ${verdict}`),
      ["job", "pipeline_source", "login", "bot", "runas", "name", "account", "number", "runner", "lists", "shell"].map(
        (rule) => `${rule} pass`,
      ),
    );
    assert.deepEqual(decision.allowed && decision.groups, groups);
  });

  test("refuses every hostile name, whoever brings it, and never asks the system for it", async () => {
    const asked: string[] = [];
    const accounts = {
      account: async (name: string): Promise<AccountAnswer> => {
        asked.push(name);
        return { found: true, account: entry("alice", 1001) };
      },
      groups: async () => groups,
    };
    for (const name of hostileNames) {
      const plain = await decide(input({ login: name, accounts }));
      assert.equal(plain.allowed, false, JSON.stringify(name));
      await refusedWith("account_name_invalid", {
        auth: { ...auth, runas },
        runAs: async () => mapped(name),
        accounts,
      });
      if (name === "") continue;
      const wish = () => ({ name: "RUNAS_USER", text: name });
      await refusedWith("runas_target_invalid", {
        auth: { ...auth, runas },
        wish,
        runAs: async () => mapped("alice"),
        accounts,
      });
    }
    assert.deepEqual(asked, []);
  });

  test("refuses root, the system's accounts, nobody and the runner's own, also when RunAs names them", async () => {
    const cases: [string, RefusalCode][] = [
      ["root", "account_root"],
      ["toor", "account_root"],
      ["daemon", "account_system"],
      ["svc", "account_system"],
      ["nobody", "account_system"],
      ["runner", "account_of_runner"],
      ["Root", "account_unknown"],
      ["ALICE", "account_unknown"],
    ];
    for (const [name, code] of cases) {
      await refusedWith(code, { login: name, euid: runnerUid });
      await refusedWith(code, { euid: runnerUid, auth: { ...auth, runas }, runAs: async () => mapped(name) });
    }
    await refusedWith("account_system", { uidMin: 1002 });
    await allowedAs("bob", { login: "bob", uidMin: 1002 });
  });

  test("refuses services that have a number above UID_MIN, and whoever is in root's group by their entry", async () => {
    const found = (account: SystemAccount) => ({
      account: async (): Promise<AccountAnswer> => ({ found: true, account }),
      groups: async () => groups,
    });
    for (const shell of ["/usr/sbin/nologin", "/sbin/nologin", "/bin/false"]) {
      for (const uid of [60_000, 64_055, 61_184, 65_519]) {
        const accounts = found({ ...entry("alice", uid), shell });
        await refusedWith("account_system", { accounts });
      }
      const decision = await decide(input({ accounts: found({ ...entry("alice", 1001), shell }) }));
      assert.equal(decision.allowed, true, "an ordinary account without a shell is the lists' business");
    }
    const person = await decide(input({ accounts: found(entry("alice", 61_500)) }));
    assert.equal(person.allowed, true, "a person whose number is that high has a shell");
    await refusedWith("account_system", { accounts: found(entry("alice", 1001, 0)) });
  });

  test("refuses a name that the system takes for another, also when the look-up missed it", async () => {
    const other = (account: AccountAnswer) => ({ account: async () => account, groups: async () => groups });
    const found = other({ found: true, account: entry("alice", 1001) });
    await refusedWith("account_other_name", { login: "Alice", accounts: found });
    const told = other({ found: false, why: "other_name", detail: "another" });
    await refusedWith("account_other_name", { accounts: told });
  });

  test("refuses entries that cannot be used", async () => {
    const bad: SystemAccount[] = [
      { ...entry("alice", 1001), home: "" },
      { ...entry("alice", 1001), home: "home/alice" },
      { ...entry("alice", 1001), home: "/home/alice\n" },
      entry("alice", Number.NaN),
      entry("alice", 1001.5),
      entry("alice", -1),
      entry("alice", 4_294_967_295),
      entry("alice", 1001, 4_294_967_295),
    ];
    for (const account of bad) {
      const accounts = {
        account: async (): Promise<AccountAnswer> => ({ found: true, account }),
        groups: async () => groups,
      };
      await refusedWith("account_unusable", { accounts });
    }
  });

  test("refuses when the name service fails; a defect of ours is thrown on", async () => {
    const fail = async () => {
      throw new JacamarError("account_unknown", "the name service failed");
    };
    await refusedWith("name_service_failed", { accounts: { account: fail, groups: fail } });
    await refusedWith("name_service_failed", { accounts: { account: look, groups: fail } });
    const defect = async () => {
      throw new TypeError("ours");
    };
    await assert.rejects(decide(input({ accounts: { account: defect, groups: defect } })), TypeError);
  });

  test("refuses the token of another job or pipeline", async () => {
    await refusedWith("token_of_other_job", { claims: { ...claims, jobId: "303" } });
    await refusedWith("token_of_other_job", { claims: { ...claims, pipelineId: "575" } });
    const older = { id: job.id, pipelineId: 0 };
    await allowedAs("alice", { job: older });
    await refusedWith("token_of_other_job", { job: older, claims: { ...claims, jobId: "303" } });
  });

  test("refuses without downscope; with none, every account but the driver's", async () => {
    await refusedWith("downscope_unset", { auth: { ...auth, downscope: undefined } });
    const none: AuthConfig = { ...auth, downscope: "none" };
    await refusedWith("account_unreachable", { auth: none, euid: runnerUid });
    await allowedAs("runner", { login: "runner", auth: none, euid: runnerUid });
    await refusedWith("account_root", { login: "root", auth: none, euid: 0 });
    await refusedWith("account_system", { login: "svc", auth: none, euid: 999 });
  });

  test("heeds pipeline_source_allowlist", async () => {
    await allowedAs("alice", { auth: { ...auth, pipeline_source_allowlist: ["web", "push"] } });
    await refusedWith("pipeline_source_refused", { auth: { ...auth, pipeline_source_allowlist: ["web"] } });
    await refusedWith("pipeline_source_refused", { auth: { ...auth, pipeline_source_allowlist: [] } });
  });

  test("heeds the lists, and the shells on top of them", async () => {
    await refusedWith("list_refused", { auth: { ...auth, user_blocklist: ["alice"] } });
    await refusedWith("list_refused", { auth: { ...auth, groups_blocklist: ["domain users"] } });
    const lost = groups.map(({ gid }) => ({ gid, name: undefined }));
    await refusedWith("name_service_failed", {
      auth: { ...auth, groups_blocklist: ["domain users"] },
      accounts: { account: look, groups: async () => lost },
    });
    await allowedAs("alice", { auth: { ...auth, groups_blocklist: ["domain users"], user_allowlist: ["alice"] } });
    await refusedWith("shell_refused", { auth: { ...auth, user_allowlist: ["alice"], shell_allowlist: ["/bin/zsh"] } });
  });

  test("applies the lists to RunAs's account, and with lists_pre_validation to the login as well", async () => {
    const runAs = async () => mapped("bob");
    const blocked: AuthConfig = { ...auth, runas, user_blocklist: ["alice"] };
    await allowedAs("bob", { auth: blocked, runAs });
    await refusedWith("list_refused", { auth: { ...auth, runas, user_blocklist: ["bob"] }, runAs });
    const before = await refusedWith("list_refused", { auth: { ...blocked, lists_pre_validation: true }, runAs });
    assert.equal(before.reasons.at(-1)?.rule, "runas_lists");
    // A login that is no account: only a list of users can admit it, and no list of shells.
    const stranger: AuthConfig = { ...auth, runas, lists_pre_validation: true };
    await allowedAs("bob", { login: "1stranger", auth: stranger, runAs });
    await refusedWith("list_refused", {
      login: "1stranger",
      auth: { ...stranger, groups_allowlist: ["domain users"] },
      runAs,
    });
    await refusedWith("shell_refused", {
      login: "1stranger",
      auth: { ...stranger, shell_allowlist: ["/bin/bash"] },
      runAs,
    });
    const admitted: AuthConfig = { ...stranger, user_allowlist: ["1stranger", "bob"] };
    await allowedAs("bob", { login: "1stranger", auth: admitted, runAs });
  });

  test("refuses bots; when they are allowed, a chosen name needs RunAs or user_allowlist", async () => {
    const made = "project_1_bot";
    const hidden = { ...claims, userEmail: "alice@noreply.gitlab.example.org" };
    await refusedWith("bot_refused", { login: made });
    await refusedWith("bot_refused", { claims: hidden });
    await refusedWith("bot_refused", { accountKind: says("bot") });
    await refusedWith("bot_unknown", { accountKind: says("unknown") });
    await allowedAs("alice", { accountKind: says("person") });
    const unasked = async () => assert.fail("it does not matter");
    const all: AuthConfig = { ...auth, allow_bot_accounts: true, runas };
    await allowedAs("bob", { auth: all, runAs: async () => mapped("bob"), accountKind: unasked });

    const allow: AuthConfig = { ...auth, allow_bot_accounts: true };
    await refusedWith("account_unknown", { login: made, auth: allow });
    await refusedWith("bot_needs_runas", { claims: hidden, auth: allow });
    await refusedWith("bot_needs_runas", { accountKind: says("bot"), auth: allow });
    await allowedAs("alice", { claims: hidden, auth: { ...allow, user_allowlist: ["alice"] } });
    await allowedAs("bob", { claims: hidden, auth: { ...allow, runas }, runAs: async () => mapped("bob") });
    await refusedWith("bot_refused", { claims: hidden, auth: { ...auth, runas }, runAs: async () => mapped("bob") });
  });

  test("asks RunAs with the login, the claims and the wished account, and hands on what it says", async () => {
    const questions: RunAsQuestion[] = [];
    const decision = await allowedAs("bob", {
      auth: { ...auth, runas },
      wish: (name) => (name === "RUNAS_USER" ? { name, text: "bob" } : undefined),
      runAs: async (question) => {
        questions.push(question);
        return mapped("bob", { dataDir: "/data/p", userMessage: "Welcome", scriptLog: "seen" });
      },
    });
    assert.deepEqual(questions, [
      { currentUser: "alice", targetUser: "bob", texts: claims.texts, userIdentities: claims.userIdentities },
    ]);
    assert.ok(decision.allowed);
    assert.equal(decision.dataDir, "/data/p");
    assert.equal(decision.userMessage, "Welcome");
    assert.equal(decision.scriptLog, "seen");
  });

  test("refuses as RunAs refuses, with its message; refuses a RunAs without a script", async () => {
    const decision = await refusedWith("runas_refused", {
      auth: { ...auth, runas },
      runAs: async () => ({
        mapped: false,
        code: "runas_refused",
        userMessage: "No.",
        scriptLog: "why",
        detail: "ended with 1",
      }),
    });
    assert.equal(decision.userMessage, "No.");
    assert.equal(decision.scriptLog, "why");
    await refusedWith("runas_incomplete", { auth: { ...auth, runas: { ...runas, validation_script: undefined } } });
    await refusedWith("runas_incomplete", { auth: { ...auth, runas } });
  });

  test("ignores the user's variable where the configuration names none", async () => {
    const wish = () => ({ name: "RUNAS_USER", text: "bob" });
    await allowedAs("alice", { wish });
    const questions: RunAsQuestion[] = [];
    const runAs = async (question: RunAsQuestion) => {
      questions.push(question);
      return mapped("alice");
    };
    await allowedAs("alice", { wish, auth: { ...auth, runas: { ...runas, user_variable: undefined } }, runAs });
    assert.equal(questions[0]?.targetUser, undefined);
  });
});

const names = [
  ...machine.keys(),
  "Alice",
  "ALICE",
  "project_1_bot",
  "service_account_1",
  "ghost",
  "deploy-bot",
  "1stranger",
];
const anyName = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...names) },
  { weight: 2, arbitrary: fc.constantFrom(...hostileNames) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 8 }) },
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>, weight = 4) =>
  fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const someNames = fc.array(fc.constantFrom(...names), { maxLength: 4 });
const someGroups = fc.array(fc.constantFrom<string[]>("alice", "domain users", "wheel", "root"), { maxLength: 3 });

const generated = fc.record({
  login: anyName,
  email: maybe(fc.constantFrom("a@example.org", "a@noreply.example.org"), 1),
  jobId: fc.oneof(
    { weight: 9, arbitrary: fc.constant("302") },
    { weight: 1, arbitrary: fc.constantFrom("303", "", "0302") },
  ),
  source: fc.constantFrom<string[]>("push", "web", "schedule", ""),
  downscope: fc.constantFrom("setuid", "setuid", "setuid", "sudo", "none", undefined),
  userAllow: maybe(someNames),
  userBlock: maybe(someNames),
  groupsAllow: maybe(someGroups),
  groupsBlock: maybe(someGroups),
  shells: maybe(fc.subarray<string>(["/bin/bash", "/bin/zsh"]), 6),
  sources: maybe(fc.subarray<string>(["web", "push"]), 6),
  pre: fc.boolean(),
  bots: fc.boolean(),
  kind: fc.constantFrom("person", "person", "bot", "unknown", undefined),
  runAsName: maybe(anyName, 1),
  wish: maybe(anyName, 2),
  /** What the system answers to every name: as it should, or with somebody's entry and any number. */
  lie: maybe(
    fc.record({
      name: fc.constantFrom("", ...names),
      uid: fc.constantFrom(0, 1, 999, 1001, -1, 0.5, 65_534, 4_294_967_295),
    }),
    5,
  ),
  groups: fc.subarray(["alice", "domain users", "wheel"]),
  uidMin: fc.constantFrom(100, 500, 1000, 1002),
  euid: fc.constantFrom(0, 999, runnerUid, 1001),
});

describe("decide() with 100,000 generated inputs", () => {
  test("accepts nobody but the account that token and configuration name, never root's, the system's or a blocked one", async () => {
    const outcomes = new Map<string, number>();
    const property = fc.asyncProperty(generated, async (g) => {
      const accounts = {
        account: async (name: string): Promise<AccountAnswer> => {
          // The system takes capitals for small letters, as SSSD can.
          const honest = machine.get(name.toLowerCase());
          if (!g.lie) return honest ? { found: true, account: honest } : look(name);
          return { found: true, account: entry(g.lie.name === "" ? name : g.lie.name, g.lie.uid) };
        },
        groups: async () => g.groups.map((name, index) => ({ name, gid: 2000 + index })),
      };
      const wished = g.wish;
      const { kind } = g;
      const decision = await decide({
        claims: { ...claims, userLogin: g.login, userEmail: g.email, jobId: g.jobId, pipelineSource: g.source },
        job: { id: job.id satisfies JobId, pipelineId: 574 },
        auth: {
          ...auth,
          downscope: g.downscope,
          user_allowlist: g.userAllow,
          user_blocklist: g.userBlock,
          groups_allowlist: g.groupsAllow,
          groups_blocklist: g.groupsBlock,
          shell_allowlist: g.shells,
          pipeline_source_allowlist: g.sources,
          lists_pre_validation: g.pre,
          allow_bot_accounts: g.bots,
          runas: g.runAsName === undefined ? undefined : runas,
        },
        wish: (name) => (wished === undefined ? undefined : { name, text: wished }),
        accounts,
        runAs: async () => mapped(g.runAsName ?? ""),
        accountKind: kind && says(kind),
        uidMin: g.uidMin,
        euid: g.euid,
      });
      const outcome = decision.allowed ? "allowed" : decision.code;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (!decision.allowed) return;

      const { account } = decision;
      const expected = g.runAsName ?? g.login;
      assert.equal(account.name, expected);
      assert.match(account.name, /^[A-Za-z_][\w.-]{0,31}$/);
      assert.ok(account.uid > 0 && account.uid >= g.uidMin && account.uid < 4_294_967_295);
      assert.notEqual(account.uid, 65_534);
      assert.equal(g.downscope === "none", account.uid === g.euid);
      assert.notEqual(g.downscope, undefined);
      assert.equal(g.jobId, "302");
      assert.ok(g.sources === undefined || g.sources.includes(g.source));
      const bot =
        /bot|service_account|ghost/.test(g.login) || g.email?.includes("@noreply.") === true || g.kind === "bot";
      assert.ok(!bot || g.bots);
      assert.notEqual(g.kind === "unknown" && !bot && (!g.bots || g.runAsName === undefined), true);
      assert.ok(g.userBlock?.includes(expected) !== true);
      assert.ok(g.userAllow === undefined || g.userAllow.includes(expected));
      if (g.userAllow === undefined) {
        assert.ok(!g.groups.some((group) => g.groupsBlock?.includes(group)));
        assert.ok(g.groupsAllow === undefined || g.groups.some((group) => g.groupsAllow?.includes(group)));
      }
      assert.ok(g.shells === undefined || g.shells.includes("/bin/bash"));
      if (g.runAsName !== undefined && g.pre) assert.ok(g.userBlock?.includes(g.login) !== true);
    });
    await fc.assert(property, { numRuns: 100_000 });
    // The inputs reach every end that does not need a script or a broken machine.
    assert.ok((outcomes.get("allowed") ?? 0) > 1000, `${outcomes.get("allowed")} accepted`);
    const unreached = Object.keys(refusals).filter((code) => !outcomes.has(code));
    assert.deepEqual(unreached, [
      "runas_incomplete",
      "runas_refused",
      "runas_unsafe",
      "runas_failed",
      "name_service_failed",
    ]);
  });
});
