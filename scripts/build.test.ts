import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sealed } from "../src/start/compiled-bundle.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-build-"));
after(() => rmSync(directory, { recursive: true }));

function build(name: string, source: string): string {
  const entry = join(directory, `${name}.ts`);
  const outdir = join(directory, name);
  writeFileSync(entry, source);
  execFileSync(process.execPath, [join(import.meta.dirname, "build.ts"), "--entry", entry, "--outdir", outdir]);
  symlinkSync(process.execPath, join(outdir, "node"));
  return outdir;
}

function run(outdir: string, args: readonly string[] = []): string {
  return execFileSync(join(outdir, "jacamar"), args, { encoding: "utf8" });
}

describe("the launcher and the bundle that the build writes", () => {
  const program = (word: string) =>
    `const say = () => "${word}"; console.log(say(), process.argv.slice(2).join(), process.argv[1]);`;
  const text = build("text", program("text"));
  const code = build("code", program("code"));
  const cacheOf = (outdir: string) => join(outdir, "jacamar.cjs.cache");

  it("get the arguments and the name of the bundle, as with Node.js alone", () => {
    assert.equal(run(text, ["--a", "b c"]), `text --a,b c ${join(text, "jacamar.cjs")}\n`);
  });

  it("take V8's compiled code: with that of another text of the same length, and the right seal, that one runs", () => {
    const own = readFileSync(cacheOf(text));
    const other = readFileSync(cacheOf(code));
    writeFileSync(cacheOf(text), Buffer.concat([own.subarray(0, 64), other.subarray(64)]));
    assert.match(run(text), /^code/);
    // And with the seal of the other text, as while a build replaces one file after the other, the text counts.
    writeFileSync(cacheOf(text), other);
    assert.match(run(text), /^text/);
    writeFileSync(cacheOf(text), own);
  });

  it("work without compiled code, and with damaged one", () => {
    const own = readFileSync(cacheOf(text));
    for (const broken of [own.subarray(0, 64), own.subarray(0, 1000), Buffer.alloc(2000), Buffer.alloc(0)]) {
      writeFileSync(cacheOf(text), broken);
      assert.match(run(text), /^text/);
    }
    rmSync(cacheOf(text));
    assert.match(run(text), /^text/);
    writeFileSync(cacheOf(text), own);
  });

  it("open no debugger on a signal, which a user may send", () => {
    const caught = build(
      "signals",
      'console.log(/^SigCgt:\\s*(\\w+)$/m.exec(require("fs").readFileSync("/proc/self/status", "utf8"))[1])',
    );
    const bit = 1n << BigInt(constants.signals.SIGUSR1 - 1);
    assert.equal(BigInt(`0x${run(caught).trim()}`) & bit, 0n);
    const plain = execFileSync(process.execPath, [join(caught, "jacamar.cjs")], { encoding: "utf8" });
    assert.notEqual(BigInt(`0x${plain.trim()}`) & bit, 0n, "the control");
  });

  it("carry the seal of the text", () => {
    const bundle = readFileSync(join(text, "jacamar.cjs"), "utf8");
    const lines = bundle.split("\n");
    const body = `${lines.slice(0, -2).join("\n")}\n`;
    assert.equal(bundle, sealed(body, createHash("sha256").update(body).digest("hex")));
  });

  it("leave no other file behind, and are the same when they are built again", () => {
    const files = (outdir: string) =>
      readdirSync(outdir)
        .filter((name) => name !== "node" && name !== "meta.json")
        .map((name) => [name, readFileSync(join(outdir, name)).toString("base64")]);
    const first = files(text);
    assert.deepEqual(
      first.map(([name]) => name),
      ["jacamar", "jacamar-auth", "jacamar.cjs", "jacamar.cjs.cache", "jacamar.schema.json", "start.cjs"],
    );
    execFileSync(process.execPath, [
      join(import.meta.dirname, "build.ts"),
      "--entry",
      join(directory, "text.ts"),
      "--outdir",
      text,
    ]);
    assert.deepEqual(files(text), first);
  });
});

it("a run stage loads none of Node's large modules: each takes it some milliseconds", () => {
  const outdir = join(directory, "whole");
  execFileSync(process.execPath, [join(import.meta.dirname, "build.ts"), "--outdir", outdir]);
  const hook = join(directory, "hook.cjs");
  writeFileSync(hook, `process.on("exit", () => console.log(process.moduleLoadList.join("\\n")))`);
  for (const program of ["jacamar.cjs", "jacamar-auth.cjs"]) {
    const argv = ["--require", hook, join(outdir, program), "run", "/no/script", "build_script"];
    const { stdout, stderr, status } = spawnSync(process.execPath, argv, { encoding: "utf8", env: {} });
    assert.equal(status, 2, stderr);
    assert.match(stdout, /^NativeModule child_process$/m);
    const large =
      /^NativeModule (?:crypto|https?|_http_.*|tls|dns|zlib|readline|perf_hooks|worker_threads|sqlite|internal\/util\/parse_args\/.*)$/gm;
    assert.deepEqual([...stdout.matchAll(large)].map(String), [], program);
  }
});
