import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { findOwn } from "../../../src/executor/batch/own-arguments.ts";
import { slurm } from "../../../src/executor/batch/slurm.ts";
import { slurmMissing } from "../../harness/slurm.ts";

/** A controller that does not answer: sbatch has told by then how it understands its arguments. */
const configuration = `ClusterName=none
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=1
SlurmUser=root
MessageTimeout=1
NodeName=n1 CPUs=1
PartitionName=p Nodes=n1 Default=YES
`;

describe("a user's arguments that are let through, as the real sbatch reads them", { skip: slurmMissing() }, () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "jacamar-sbatch-"));
    writeFileSync(join(directory, "slurm.conf"), configuration);
    writeFileSync(join(directory, "job"), "#!/bin/sh\n");
  });
  after(() => rmSync(directory, { recursive: true }));

  function sbatch(args: readonly string[]) {
    const env = { PATH: process.env["PATH"] ?? "", SLURM_CONF: join(directory, "slurm.conf"), LC_ALL: "C" };
    return spawnSync("sbatch", args, { env, cwd: "/", encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  it("change nothing that the driver sets, and make sbatch do nothing else", () => {
    const options = [...new Set([...sbatch(["--help"]).stdout.matchAll(/--([a-z][a-z-]+)/g)].map(([, name]) => name))];
    assert.ok(options.includes("wrap") && options.includes("output"), options.join());
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".split("");
    const value = fc.constantFrom("1", "x", "-o", "-1", "=x", "--", "", "ALL");
    const name = fc
      .tuple(fc.constantFrom(...options), fc.nat(20), fc.boolean())
      .map(([option = "", length, whole]) => `--${whole ? option : option.slice(0, 1 + length)}`);
    const cluster = fc
      .string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 4 })
      .map((text) => `-${text}`);
    const word = fc.oneof(
      name,
      fc.tuple(name, value).map((parts) => parts.join("=")),
      cluster,
      fc.tuple(cluster, value).map((parts) => parts.join("")),
      value,
    );
    let understood = 0;
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 3 }), (words) => {
        if (findOwn(words, slurm.ownArguments) !== undefined) return;
        const ours = ["-v", "--parsable", "--job-name=OURS", "--output=/ours", "--open-mode=append"];
        const { stderr } = sbatch([...ours, ...words, join(directory, "job")]);
        const read = new Map([...stderr.matchAll(/^sbatch: ([a-z-]+) +: (.*)$/gm)].map(([, key, text]) => [key, text]));
        // It has refused them.
        if (read.size === 0) return;
        understood += 1;
        assert.deepEqual(
          ["job-name", "output", "parsable", "error", "input", "wait", "wrap", "array", "test-only"].map((key) =>
            read.get(key),
          ),
          ["OURS", "/ours", "set", undefined, undefined, undefined, undefined, undefined, undefined],
          words.join(" "),
        );
      }),
      { numRuns: 2000 },
    );
    assert.ok(understood > 20, `sbatch understood only ${understood}`);
  });
});
