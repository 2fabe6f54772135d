import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { wrap } from "../src/terminal/help.ts";
import { version } from "../src/version.ts";
import { type Parts, type Places, programs, shared } from "./content.ts";
import { run } from "./run.ts";
import { type Entry, writeTree } from "./tree.ts";
import { forget, giveCapabilities, type Variant } from "./variants.ts";

const places: Places = { programs: "opt/jacamar/bin", share: "usr/share", zsh: "zsh/vendor-completions" };

/** Debian's names of Node's architectures. */
const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  arm64: "arm64",
  ppc64: "ppc64el",
  s390x: "s390x",
};

/** Makes the .deb of a variant, and returns the path. */
export async function makeDeb(variant: Variant, parts: Parts, work: string, outdir: string): Promise<string> {
  const architecture = architectures[process.arch] ?? process.arch;
  const root = join(work, `deb-${variant.name}`);
  const entries: Entry[] = [
    ...programs(parts, places, variant.hasCapabilities),
    ...shared(parts, places),
    ...(variant.hasCapabilities ? [{ path: `usr/share/doc/${variant.name}`, linkTo: "jacamar-ci" }] : []),
    { path: "usr/bin/jacamar", linkTo: "../../opt/jacamar/bin/jacamar" },
    { path: "usr/sbin/jacamar-auth", linkTo: "../../opt/jacamar/bin/jacamar-auth" },
  ];
  const sums = entries.flatMap((entry) => ("linkTo" in entry ? [] : [`${sumOf(entry, entries)}  ${entry.path}\n`]));
  writeTree(root, [...entries, ...control(variant, architecture, sums.toSorted().join(""))], parts.timeSeconds);
  const output = join(outdir, `${variant.name}_${version}_${architecture}.deb`);
  // One thread, and the same compression for both archives in it: the bytes must not depend on the machine.
  const options = ["--root-owner-group", "--uniform-compression", "--threads-max=1", "-Zzstd", "-z9"];
  await run("dpkg-deb", ["--build", ...options, root, output], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(parts.timeSeconds) },
  });
  return output;
}

function control(variant: Variant, architecture: string, sums: string): Entry[] {
  // What Node.js is linked with, for the oldest system that its makers support. Not its symbols: this is no Debian build.
  const depends = ["bash", "libc6 (>= 2.28)", "libstdc++6", "libgcc-s1", "libatomic1", "passwd"];
  const fields = [
    `Package: ${variant.name}`,
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    "Maintainer: The authors of Jacamar CI <jacamar-ci@localhost>",
    "Section: devel",
    "Priority: optional",
    `Depends: ${[...depends, ...(variant.hasCapabilities ? ["libcap2-bin", "util-linux"] : [])].join(", ")}`,
    "Recommends: git, podman (>= 4.3), uidmap, slirp4netns | passt",
    "Suggests: gitlab-runner, sudo, libseccomp2",
    `Conflicts: ${variant.other}`,
    `Replaces: ${variant.other}`,
    `Description: ${variant.summary}`,
    ...variant.description.flatMap((paragraph, index) => [...(index === 0 ? [] : [" ."]), wrap(paragraph, " ")]),
  ];
  const script = (body: string) => ({ content: `#!/bin/sh\nset -e\n\n${body}`, mode: 0o755 });
  const again = `dpkg --configure ${variant.name}`;
  return [
    { path: "DEBIAN/control", content: `${fields.join("\n")}\n` },
    { path: "DEBIAN/md5sums", content: sums },
    ...(variant.hasCapabilities
      ? [{ path: "DEBIAN/postinst", ...script(`[ "$1" = configure ] || exit 0\n${giveCapabilities(again)}`) }]
      : []),
    { path: "DEBIAN/postrm", ...script(`[ "$1" = purge ] || exit 0\n${forget()}`) },
  ];
}

function sumOf(entry: Entry, all: readonly Entry[]): string {
  if ("content" in entry) return md5(entry.content);
  if ("copyOf" in entry) return md5(readFileSync(entry.copyOf));
  const other = "sameAs" in entry ? all.find(({ path }) => path === entry.sameAs) : undefined;
  if (other === undefined) throw new Error(`${entry.path} is a second name of nothing`);
  return sumOf(other, all);
}

/** What dpkg --verify compares with. */
function md5(content: string | Uint8Array): string {
  return createHash("md5").update(content).digest("hex");
}
