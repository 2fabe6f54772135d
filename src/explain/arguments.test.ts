import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { JacamarError } from "../error/error.ts";
import { ourTerminal } from "../terminal/terminal.ts";
import { describeJob } from "../try/described-job.ts";
import { parseExplainArguments } from "./arguments.ts";
import { runExplain } from "./explain.ts";

function usage(message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof JacamarError && error.code === "usage" && message.test(error.message);
}

describe("jacamar explain", () => {
  it("knows the stages of GitLab Runner, and a user's own steps", () => {
    const stages = ["get_sources", "step_release", "archive_cache_on_failure"];
    const argv = stages.flatMap((stage) => ["--stage", stage]);
    assert.deepEqual(parseExplainArguments(["--job", "x", ...argv]).stages, stages);
    const wrong = () => parseExplainArguments(["--job", "x", "--stage", "build_scirpt"]);
    assert.throws(wrong, usage(/^There is no stage "build_scirpt"; did you mean "build_script"\?$/));
  });

  it("names the project after the directory of the pipeline file, wherever it is called", () => {
    const { response } = describeJob({
      file: "/home/alice/hello/token.gitlab-ci.yml",
      text: "unit: { script: ['true'] }",
      readLocal: () => undefined,
      jobName: "unit",
      login: "alice",
      runnerShortToken: "runner",
      concurrentId: 0,
      version: "1",
    });
    assert.match(response, /"project_full_path":"alice\/hello"/);
  });

  it("does not call a job refused that the pipeline does not have", async () => {
    const directory = mkdtempSync(join(tmpdir(), "jacamar-explain-"));
    try {
      const file = (name: string, text: string) => {
        const path = join(directory, name);
        writeFileSync(path, text, { mode: 0o600 });
        return path;
      };
      const configuration = file("jacamar.toml", '[general]\nexecutor = "shell"\ndata_dir = "/x"\n');
      const pipeline = file(".gitlab-ci.yml", "unit: { script: ['true'] }\n");
      const call = (...argv: string[]) => runExplain(["--configuration", configuration, ...argv], ourTerminal());
      await assert.rejects(call("--job", "unti", pipeline), usage(/^There is no job "unti"$/));
      await assert.rejects(call("--job", "x", file("empty.yml", "")), usage(/The file is empty/));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
