import { execFileSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildExecutable } from "./executable/build.ts";

const checkout = join(import.meta.dirname, "..");
const outdir = join(checkout, "dist/packages");
const work = mkdtempSync(join(tmpdir(), "jacamar-package-"));
try {
  execFileSync(process.execPath, [join(checkout, "scripts/build.ts"), "--outdir", work], { stdio: "inherit" });
  mkdirSync(join(outdir, "bin"), { recursive: true });
  const jacamar = join(outdir, "bin/jacamar");
  rmSync(jacamar, { force: true });
  rmSync(`${jacamar}-auth`, { force: true });
  await buildExecutable({ bundles: work, node: process.execPath, output: jacamar });
  linkSync(jacamar, `${jacamar}-auth`);
  copyFileSync(join(work, "jacamar.schema.json"), join(outdir, "bin/jacamar.schema.json"));
} finally {
  rmSync(work, { recursive: true });
}
