import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { bashCompletion } from "./completions/bash.ts";
import { fishCompletion } from "./completions/fish.ts";
import { completedPrograms } from "./completions/model.ts";
import { zshCompletion } from "./completions/zsh.ts";
import { configurationPage } from "./manual/configuration-page.ts";
import { jacamarAuthPage, jacamarPage } from "./manual/program-pages.ts";
import type { Entry } from "./tree.ts";

/** What all packages are made of. */
export interface Parts {
  readonly checkout: string;
  /** The single executable. */
  readonly executable: string;
  /** The directory that `scripts/build.ts` wrote. */
  readonly bundles: string;
  readonly licences: string;
  readonly timeSeconds: number;
}

/** Where a package has its files. */
export interface Places {
  readonly programs: string;
  readonly share: string;
  /** Below `share`: where Zsh of that system looks. */
  readonly zsh: string;
}

/**
 * The programs. With file capabilities `jacamar-auth` is a file of its own, which nobody can run until the package is
 * configured; otherwise both are one file, and its name says which program it is.
 */
export function programs(
  { executable, bundles }: Parts,
  { programs: place }: Places,
  hasCapabilities: boolean,
): Entry[] {
  return [
    { path: `${place}/jacamar`, copyOf: executable, mode: 0o755 },
    hasCapabilities
      ? { path: `${place}/jacamar-auth`, copyOf: executable, mode: 0o700 }
      : { path: `${place}/jacamar-auth`, sameAs: `${place}/jacamar` },
    { path: `${place}/jacamar.schema.json`, copyOf: join(bundles, "jacamar.schema.json") },
  ];
}

/** Manual pages, completions, documentation, examples, licences. */
export function shared(parts: Parts, { share, zsh }: Places): Entry[] {
  return [
    ...manual(parts).map(({ section, name, page }) => ({
      path: `${share}/man/man${section}/${name}.${section}.gz`,
      content: gzipSync(page, { level: 9 }),
    })),
    ...completedPrograms.flatMap((program) => [
      { path: `${share}/bash-completion/completions/${program.name}`, content: bashCompletion(program) },
      { path: `${share}/${zsh}/_${program.name}`, content: zshCompletion(program) },
      { path: `${share}/fish/vendor_completions.d/${program.name}.fish`, content: fishCompletion(program) },
    ]),
    ...documentation(parts, `${share}/doc/jacamar-ci`),
  ];
}

/** The manual pages as text. */
export function manual({ timeSeconds }: Parts): { section: number; name: string; page: string }[] {
  const date = new Date(timeSeconds * 1000);
  return [
    { section: 1, name: "jacamar", page: jacamarPage(date) },
    { section: 5, name: "jacamar.toml", page: configurationPage(date) },
    { section: 8, name: "jacamar-auth", page: jacamarAuthPage(date) },
  ];
}

/** What people read, with its links as in the checkout. */
export function documentation({ checkout, licences }: Parts, place: string): Entry[] {
  const names = globSync(
    [
      "README.md",
      "SECURITY.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "LICENSE-*",
      "docs/**/*",
      "examples/**/*",
      "examples/**/.*",
    ],
    {
      cwd: checkout,
      withFileTypes: true,
    },
  )
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(checkout.length + 1))
    .toSorted();
  return [
    ...names.map((name) => ({ path: `${place}/${name}`, copyOf: join(checkout, name) })),
    { path: `${place}/THIRD-PARTY-LICENSES`, content: licences },
    { path: `${place}/copyright`, content: copyrightOf(checkout) },
  ];
}

function copyrightOf(checkout: string): string {
  return [
    "Jacamar CI is under either of these licences, as you like: Apache-2.0 (LICENSE-APACHE) or MIT, which follows.",
    "What else is in the programs is under the licences in THIRD-PARTY-LICENSES.",
    "",
    readFileSync(join(checkout, "LICENSE-MIT"), "utf8"),
  ].join("\n");
}
