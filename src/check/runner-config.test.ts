import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConfiguration } from "../config/load.ts";
import { placeFaults } from "../config/place.ts";
import { formatFinding } from "../config/problem.ts";
import { inspectRunnerConfig } from "./runner-config.ts";

const path = "/etc/gitlab-runner/jacamar.toml";

/** The block that docs/administration.md shows, as the second runner of its file. */
function block(program: string, more = ""): string {
  return `concurrent = 4
[[runners]]
  executor = "shell"
[[runners]]
  executor = "custom"
  [runners.custom]
    config_exec = "${program}"
    config_args = ["config", "--configuration", "${path}"]
    prepare_exec = "${program}"
    prepare_args = ["prepare"]
    run_exec = "${program}"
    run_args = ["run"]
    cleanup_exec = "${program}"
    cleanup_args = ["cleanup", "--configuration", "${path}"]
${more}`;
}

async function found(text: string, general = "", rest = ""): Promise<string[]> {
  const own = `[general]\nexecutor = "shell"\ndata_dir = "/x"\n${general}\n${rest}`;
  const { config } = await checkConfiguration(own, "own");
  const { inspection, problems, warnings } = inspectRunnerConfig(text, { path, config });
  return [
    ...placeFaults(problems, inspection, "r").map((problem) => formatFinding(problem, "problem")),
    ...placeFaults(warnings, inspection, "r").map((problem) => formatFinding(problem, "warning")),
  ];
}

const jacamar = "/opt/jacamar/bin/jacamar";
const auth = "/opt/jacamar/bin/jacamar-auth";
const withAuth = '[auth]\ndownscope = "setuid"';

test("inspectRunnerConfig() finds nothing in the documented block", async () => {
  assert.deepEqual(await found(block(jacamar, "graceful_kill_timeout = 150")), []);
  assert.deepEqual(await found(block(auth), "", withAuth), []);
  assert.deepEqual(await found(block(jacamar).replaceAll('["', '["--no-auth", "')), []);
  assert.deepEqual(await found(block(jacamar).replaceAll('"--configuration", "', '"--configuration=')), []);
});

test("inspectRunnerConfig() warns of a runner with less patience than kill_timeout", async () => {
  assert.deepEqual(await found(block(jacamar, "    graceful_kill_timeout = 120")), [
    "r:15:29: warning: runners[1].custom.graceful_kill_timeout: is 120 s, and kill_timeout is 120 s: the runner kills a stage before the stage has ended its job; expected more than 120 [runner-impatient]",
  ]);
  // The runner's own default counts where nothing is set.
  const [line = ""] = await found(block(jacamar), 'kill_timeout = "11m"');
  assert.match(
    line,
    /^r:6:4: warning: runners\[1\]\.custom\.graceful_kill_timeout: is 600 s, and kill_timeout is 660 s/,
  );
});

test("inspectRunnerConfig() tells what is missing or mistaken in the block", async () => {
  const broken = block(jacamar)
    .replace(/ *prepare_exec.*\n/, "")
    .replace('["run"]', '["script"]')
    .replace(`cleanup_exec = "${jacamar}"`, 'cleanup_exec = "/opt/other"');
  assert.deepEqual(await found(broken), [
    "r:6:4: problem: runners[1].custom.prepare_exec: is missing [runner-wiring]",
    "r:7:5: problem: runners[1].custom.config_exec: is not the program that the other stages call [runner-wiring]",
    'r:11:5: problem: runners[1].custom.run_args: must have "run" as its command [runner-wiring]',
    'r:12:5: problem: runners[1].custom.cleanup_exec: "/opt/other" is not this program [runner-wiring]',
  ]);
  assert.match((await found(block(auth))).join(), /is jacamar-auth, and the configuration has no \[auth\]/);
  assert.match((await found(block(jacamar), "", withAuth)).join(), /so that \[auth\] has no effect/);
  assert.match(
    (await found(block(jacamar).replace(`, "--configuration", "${path}"]`, "]"))).join(),
    /must name the configuration/,
  );
});

test("inspectRunnerConfig() tells of a runner with another executor, and of a program that is not there", async () => {
  const custom = 'executor = "custom"';
  assert.deepEqual(await found(block(jacamar).replace(custom, 'executor = "shell"')), [
    'r:5:14: problem: runners[1].executor: is "shell", so [runners.custom] has no effect; expected "custom" [runner-wiring]',
  ]);
  assert.deepEqual(await found(block(jacamar).replace(custom, "")), [
    'r:4:3: problem: runners[1].executor: is missing; expected "custom" [runner-wiring]',
  ]);
  const { problems } = inspectRunnerConfig(block(jacamar), { path, config: undefined }, () => "does not exist");
  assert.deepEqual(
    problems.map(({ path: [, , , key], message }) => `${key}: ${message}`),
    ["config", "prepare", "run", "cleanup"].map((stage) => `${stage}_exec: "${jacamar}" does not exist`),
  );
});

test("inspectRunnerConfig() says when no runner is meant", async () => {
  const other = block(jacamar).replaceAll(path, "/etc/other.toml");
  for (const text of [other, "", "concurrent = 1\n"]) {
    assert.match((await found(text)).join(), /warning: runners: no runner with executor = "custom" has/);
  }
});

test("inspectRunnerConfig() places what is no TOML, or none of the runner's", async () => {
  assert.match((await found("a = \n")).join(), /^r:1:5: problem: this is not a value/);
  assert.deepEqual(await found("[[runners]]\nexecutor = 1\n"), [
    "r:2:12: problem: runners[0].executor: is not what GitLab Runner takes (string)",
  ]);
});
