import { readdirSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { documentation, manual, type Parts } from "./content.ts";
import { run } from "./run.ts";
import { type Entry, writeTree } from "./tree.ts";

/** Makes the npm package, for machines that have Node.js, and returns the path. */
export async function makeNpmPackage(parts: Parts, work: string, outdir: string): Promise<string> {
  const root = join(work, "npm");
  const pages = manual(parts).map(({ section, name, page }) => ({ path: `man/${name}.${section}`, content: page }));
  // Compiled code is for one version of Node.js alone, so it stays out.
  const bundles = readdirSync(parts.bundles).filter((name) =>
    /^(?:jacamar|jacamar-auth|.*\.cjs|jacamar\.schema\.json)$/.test(name),
  );
  const entries: Entry[] = [
    { path: "package.json", content: `${JSON.stringify(manifest(pages.map(({ path }) => path)), undefined, 2)}\n` },
    ...bundles.toSorted().map((name) => ({
      path: `bin/${name}`,
      copyOf: join(parts.bundles, name),
      mode: name.includes(".") ? 0o644 : 0o755,
    })),
    ...pages,
    ...documentation(parts, "."),
  ];
  writeTree(root, entries, parts.timeSeconds);
  const options = ["--ignore-scripts", "--silent", "--offline", `--pack-destination=${outdir}`];
  const name = (await run("npm", ["pack", ...options], { cwd: root })).trim();
  return join(outdir, name);
}

function manifest(man: readonly string[]): Record<string, unknown> {
  const { name, version, description, license } = packageJson;
  return {
    name,
    version,
    description,
    license,
    os: ["linux"],
    engines: { node: ">=26" },
    bin: { jacamar: "bin/jacamar", "jacamar-auth": "bin/jacamar-auth" },
    man,
  };
}
