import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { commitTimeSeconds } from "./commit-time.ts";
import type { Parts } from "./content.ts";
import { makeDeb } from "./deb.ts";
import { buildExecutable } from "./executable/build.ts";
import { thirdPartyLicences } from "./licences.ts";
import { makeNpmPackage } from "./npm.ts";
import { makeRpm } from "./rpm.ts";
import { makeTarball } from "./tarball.ts";
import { variants } from "./variants.ts";

/**
 * Makes all packages from the checkout, in `dist/packages/`: the same bytes for the same commit. `bin/` there has the
 * programs as they are in the packages.
 *
 * `--outdir DIRECTORY` puts them elsewhere; `--only-programs` leaves out the packages.
 */
const { values } = parseArgs({ options: { outdir: { type: "string" }, "only-programs": { type: "boolean" } } });
const checkout = join(import.meta.dirname, "..");
const outdir = values.outdir ?? join(checkout, "dist/packages");
const work = mkdtempSync(join(tmpdir(), "jacamar-package-"));
try {
  const bundles = join(work, "bundles");
  execFileSync(process.execPath, [join(checkout, "scripts/build.ts"), "--outdir", bundles], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  // What an earlier version left must not look like one of this.
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(join(outdir, "bin"), { recursive: true });
  const executable = join(outdir, "bin/jacamar");
  await buildExecutable({ bundles, node: process.execPath, output: executable });
  linkSync(executable, `${executable}-auth`);
  copyFileSync(join(bundles, "jacamar.schema.json"), join(outdir, "bin/jacamar.schema.json"));
  if (values["only-programs"] !== true) {
    await makePackages({
      checkout,
      executable,
      bundles,
      licences: thirdPartyLicences(checkout, readFileSync(join(bundles, "meta.json"), "utf8")),
      timeSeconds: commitTimeSeconds(checkout),
    });
  }
} finally {
  rmSync(work, { recursive: true });
}

async function makePackages(parts: Parts): Promise<void> {
  const paths = await Promise.all([
    ...variants.flatMap((variant) => [makeDeb(variant, parts, work, outdir), makeRpm(variant, parts, work, outdir)]),
    makeTarball(parts, work, outdir),
    makeNpmPackage(parts, work, outdir),
  ]);
  const sums = paths.map((path) => {
    const content = readFileSync(path);
    console.log(`${basename(path)}: ${Math.round(content.length / 2 ** 20)} MB`);
    return `${createHash("sha256").update(content).digest("hex")}  ${basename(path)}\n`;
  });
  writeFileSync(join(outdir, "SHA256SUMS"), sums.toSorted().join(""));
}
