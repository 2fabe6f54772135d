import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";

const metafiles = v.array(v.object({ inputs: v.record(v.string(), v.unknown()) }));
const packageFile = v.object({ name: v.string(), version: v.string(), license: v.string() });

/**
 * The licences of all that is in the executable beside our own code: the npm packages that esbuild put into the bundles, and
 * Node.js with all that it is made of. Throws when a package has no licence text.
 *
 * @param meta text of the `meta.json` that `scripts/build.ts` writes
 */
export function thirdPartyLicences(checkout: string, meta: string): string {
  const inputs = v.parse(metafiles, JSON.parse(meta)).flatMap((file) => Object.keys(file.inputs));
  const names = new Set(inputs.flatMap((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
  const modules = join(checkout, "node_modules");
  const parts = [...names].toSorted().map((name) => licenceOf(join(modules, name)));
  const node = readFileSync(join(modules, "node/node_modules", `node-linux-${process.arch}`, "LICENSE"), "utf8");
  return [introduction, ...parts, heading(`Node.js ${process.version}`), node].join("\n");
}

const introduction = `The programs of this package contain the following works, each under its own licence.
`;

function licenceOf(directory: string): string {
  const { name, version, license } = v.parse(
    packageFile,
    JSON.parse(readFileSync(join(directory, "package.json"), "utf8")),
  );
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`The package ${name} has no licence text`);
  return [heading(`${name} ${version} (${license})`), readFileSync(join(directory, file), "utf8")].join("\n");
}

function heading(title: string): string {
  return `${"=".repeat(78)}\n${title}\n${"=".repeat(78)}\n`;
}
