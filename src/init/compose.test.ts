import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkText } from "../check/check.ts";
import { inspectRunnerConfig } from "../check/runner-config.ts";
import { formatFinding } from "../config/problem.ts";
import { type Answers, type Downscope, readAnswer } from "./answers.ts";
import { composeConfiguration } from "./compose.ts";
import { runnerBlock } from "./runner-block.ts";

const answers = fc.record<Answers>({
  executor: fc.constantFrom("shell", "slurm", "flux", "pbs", "lsf"),
  dataDir: fc.oneof(
    fc.constant("$HOME/.jacamar-ci"),
    fc.string().filter((text) => "value" in readAnswer("dataDir", text)),
  ),
  downscope: fc.constantFrom<Downscope>("setuid", "sudo", "none", "no-auth"),
  podman: fc.boolean(),
  runnerImage: fc.oneof(
    fc.constant(""),
    fc.string().filter((text) => "value" in readAnswer("runnerImage", text)),
  ),
  gitlabServer: fc.constant("https://gitlab.example.com"),
  tlsCaFile: fc.constantFrom("", '/etc/a "b".pem'),
  tokenVariable: fc.constant("SITE_ID_TOKEN"),
});

/** `downscope = "none"` is told to share one account, which is what was asked for. */
const expectedWarning = /auth\.downscope: all jobs run as the account of the runner/;

test("composeConfiguration() writes what the check finds nothing in, and what was answered", async () => {
  await fc.assert(
    fc.asyncProperty(answers, async (given) => {
      const text = composeConfiguration(given, "/etc/a\nb = 1", "/opt/x.json");
      const { config, problems, warnings } = await checkText({ text }, { file: "f", elsewhere: true });
      assert.deepEqual(problems, [], text);
      const told = warnings.map((warning) => formatFinding(warning, "warning"));
      assert.deepEqual(
        told.filter((line) => !expectedWarning.test(line)),
        [],
        text,
      );
      assert.equal(config?.general.executor, given.executor);
      assert.equal(config.general.data_dir, given.dataDir);
      assert.equal(config.general.run_mechanism, given.podman ? "podman" : undefined);
      assert.equal(config.general.podman.runner_image, (given.podman && given.runnerImage) || undefined);
      assert.equal(config.general["tls-ca-file"], given.tlsCaFile || undefined);
      assert.equal(config.auth?.downscope, given.downscope === "no-auth" ? undefined : given.downscope);
    }),
    { numRuns: 300 },
  );
});

test("runnerBlock() is what the check wants of the runner's file", async () => {
  const file = '/etc/a "b"/jacamar.toml';
  for (const downscope of ["setuid", "sudo", "none", "no-auth"] as const) {
    const given = {
      executor: "shell",
      dataDir: "/x",
      downscope,
      podman: true,
      runnerImage: "",
      gitlabServer: "https://g",
      tlsCaFile: "",
      tokenVariable: "T",
    };
    const { config } = await checkText(
      { text: composeConfiguration(given, file, undefined) },
      { file, elsewhere: true },
    );
    const text = `[[runners]]\nexecutor = "custom"\n${runnerBlock("/opt/jacamar/bin", file, downscope)}`;
    const { problems, warnings } = inspectRunnerConfig(text, { path: file, config });
    assert.deepEqual([problems, warnings], [[], []], text);
  }
});

test("readAnswer() takes what the configuration takes, and says what it wants", () => {
  assert.deepEqual(readAnswer("podman", "Yes"), { value: true });
  assert.deepEqual(readAnswer("podman", "n"), { value: false });
  assert.deepEqual(readAnswer("podman", "maybe"), { expected: "yes or no" });
  assert.deepEqual(readAnswer("runnerImage", ""), { value: "" });
  for (const [name, text] of [
    ["executor", "cobalt"],
    ["dataDir", "x"],
    ["dataDir", "/a/../b"],
    ["gitlabServer", ""],
    ["gitlabServer", "gitlab.example.com"],
    ["downscope", "su"],
    ["runnerImage", "a b"],
    ["tokenVariable", "1X"],
  ] as const) {
    assert.ok("expected" in readAnswer(name, text), `${name} ${text}`);
  }
});
