import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { version } from "../src/version.ts";
import { type Parts, programs, shared } from "./content.ts";
import { run } from "./run.ts";
import { writeTree } from "./tree.ts";

/** Makes the tarball, to be unpacked into `/opt/jacamar`, and returns the path. */
export async function makeTarball(parts: Parts, work: string, outdir: string): Promise<string> {
  const name = `jacamar-ci-${version}-linux-${process.arch}`;
  const places = { programs: `${name}/bin`, share: `${name}/share`, zsh: "zsh/site-functions" };
  const root = join(work, "tarball");
  writeTree(root, [...programs(parts, places, false), ...shared(parts, places)], parts.timeSeconds);
  const tar = join(work, "tarball.tar");
  await run("tar", [
    "--create",
    `--file=${tar}`,
    `--directory=${root}`,
    "--format=gnu",
    "--sort=name",
    "--owner=root:0",
    "--group=root:0",
    `--mtime=@${parts.timeSeconds}`,
    name,
  ]);
  const output = join(outdir, `${name}.tar.gz`);
  writeFileSync(output, await promisify(gzip)(readFileSync(tar), { level: 6 }));
  return output;
}
