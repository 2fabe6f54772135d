import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { readLoginEnvironment } from "./login-environment.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-login-"));
after(() => rmSync(directory, { recursive: true }));

const never = new AbortController().signal;

function login(profile: string, stop = never, shell = "/bin/bash", write = "env -0 >&3") {
  const home = mkdtempSync(join(directory, "home-"));
  writeFileSync(join(home, ".bash_profile"), profile);
  return readLoginEnvironment(
    {
      argv: [shell, "-l", "-c", write, "name"],
      environment: { HOME: home, PATH: "/usr/bin:/bin" },
      workingDirectory: home,
    },
    stop,
  );
}

describe("readLoginEnvironment()", () => {
  test("gives what the profile has set, and drops what it prints", async () => {
    const environment = await login(
      "echo PATH=evil; echo X=evil >&2; export A='b\nc=d' E= ; module() { :; }; export -f module; PATH=/x:$PATH",
    );
    assert.equal(environment["A"], "b\nc=d");
    assert.equal(environment["E"], "");
    assert.ok(environment["PATH"]?.startsWith("/x:"));
    assert.ok(Object.keys(environment).some((name) => name.startsWith("BASH_FUNC_module")));
    assert.equal(environment["X"], undefined);
    assert.equal(environment["JACAMAR_LEAK"], undefined);
  });

  test("gives nothing of this process's environment", async () => {
    process.env["JACAMAR_LEAK"] = "1";
    const environment = await login("true");
    delete process.env["JACAMAR_LEAK"];
    assert.ok(!("JACAMAR_LEAK" in environment));
  });

  for (const [what, write] of [
    ["in the middle of a value", "printf 'A=b\\0PATH=/usr/b' >&3; kill -KILL $$"],
    ["between two variables", "printf 'A=b\\0' >&3; kill -KILL $$"],
    ["by an end that nobody tells", "printf 'A=b\\0PATH=/usr/b' >&3"],
  ] as const) {
    test(`takes no environment that was cut off ${what}`, async () => {
      await assert.rejects(login("true", never, "/bin/bash", write), { code: "shell_failed" });
    });
  }

  for (const [what, profile] of [
    ["exits", "exit 0"],
    ["exits with an error", "exit 1"],
    ["execs", "exec true"],
    ["execs a shell that reads its input", "exec bash"],
    ["kills its shell", "kill -KILL $$"],
  ] as const) {
    test(`says what is wrong with a profile that ${what}`, async () => {
      await assert.rejects(login(profile), {
        code: "shell_failed",
        message: /"\/bin\/bash" ended before it was ready/,
        hint: /exit or exec/,
      });
    });
  }

  test("tells what a profile complained of before it failed", async () => {
    await assert.rejects(login("echo first >&2; set -e\nno-such-program-anywhere"), {
      code: "shell_failed",
      message: /ended before it was ready; it said last: .*no-such-program-anywhere: command not found$/,
      hint: /set -e/,
    });
    await assert.rejects(login("exit 1"), { message: /ended before it was ready$/ });
  });

  test("says which shell cannot be started", async () => {
    await assert.rejects(login("", never, "/no/bash"), { code: "shell_failed", message: /"\/no\/bash": ENOENT/ });
  });

  test("does not wait for what the profile left behind", { timeout: 60_000 }, async () => {
    const { A: left = "" } = await login("sleep 300 & export A=$!");
    assert.ok(process.kill(Number(left), "SIGKILL"));
  });

  test("ends a profile that hangs when the stage is to end", { timeout: 60_000 }, async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 200);
    await assert.rejects(login("sleep 300", controller.signal), { name: "JacamarError" });
  });
});
