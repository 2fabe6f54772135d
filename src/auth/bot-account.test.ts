import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { botSign } from "./bot-account.ts";

const noTexts: ReadonlyMap<string, string> = new Map();
const sign = (login: string, email?: string, texts = noTexts) => botSign({ login, email, texts });

describe("botSign()", () => {
  test("knows the names that GitLab makes", () => {
    const hex = "4ffca233d8298ea1";
    const names = [
      "project_1_bot",
      "project_1_bot2",
      `project_278964_bot_${hex}`,
      `group_345_bot_${hex}`,
      "PROJECT_1_BOT_X",
      "service_account_33",
      `service_account_group_345_${hex}`,
      "service_account_project_123_abc",
      "ghost",
      "ghost1",
      "alert-bot",
      "support-bot",
      "support-bot1",
      "migration-bot",
      "automation-bot",
      "visual-review-bot",
      "GitLab-Security-Bot",
      "GitLab-Admin-Bot",
      "GitLab-Llm-Bot",
      "GitLabDuo",
      "gitlab_security_policy_project_1_bot",
      "acme_placeholder_user_1",
      "acme_import_user",
    ];
    for (const name of names) assert.equal(sign(name)?.named, true, name);
  });

  test("takes a robot's chosen name for a sign, but not for GitLab's", () => {
    for (const name of ["renovate-bot", "deploy_bot", "ci.bot", "x-bot7"]) assert.equal(sign(name)?.named, false, name);
  });

  test("lets people be", () => {
    for (const name of [
      "alice",
      "talbot",
      "abbott",
      "robot",
      "bot",
      "ghostly",
      "project_manager",
      "group_1",
      "service",
      "botany-1",
    ]) {
      assert.equal(sign(name, "alice@example.org"), undefined, name);
    }
  });

  test("knows a chosen name by the address that GitLab made, and by claims", () => {
    const hidden = [
      "alice@noreply.gitlab.example.org",
      "x@NOREPLY.gitlab.example.org",
      "service_account_group_1_ab@example.org",
    ];
    for (const email of hidden) assert.equal(sign("alice", email)?.named, false, email);
    assert.equal(sign("alice", "noreply@example.org"), undefined);
    assert.equal(sign("alice", undefined, new Map([["user_type", "service_account"]]))?.named, false);
    assert.equal(sign("alice", undefined, new Map([["user_bot", "true"]]))?.named, false);
    assert.equal(sign("alice", undefined, new Map([["user_type", "human"]])), undefined);
  });
});
