import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../src/version.ts";
import { type Parts, type Places, programs, shared } from "./content.ts";
import { run } from "./run.ts";
import { type Entry, writeTree } from "./tree.ts";
import { forget, giveCapabilities, type Variant } from "./variants.ts";

const places: Places = { programs: "opt/jacamar/bin", share: "usr/share", zsh: "zsh/site-functions" };

/** The names that RPM has for Node's architectures. */
const architectures: Readonly<Record<string, string>> = {
  x64: "x86_64",
  arm64: "aarch64",
  ppc64: "ppc64le",
  s390x: "s390x",
};

/** Makes the .rpm of a variant, and returns the path. */
export async function makeRpm(variant: Variant, parts: Parts, work: string, outdir: string): Promise<string> {
  const architecture = architectures[process.arch] ?? process.arch;
  const root = join(work, `rpm-${variant.name}`);
  const top = join(work, `rpmbuild-${variant.name}`);
  const entries: Entry[] = [
    ...programs(parts, places, variant.hasCapabilities),
    ...shared(parts, places),
    { path: "usr/bin/jacamar", linkTo: "../../opt/jacamar/bin/jacamar" },
    { path: "usr/sbin/jacamar-auth", linkTo: "../../opt/jacamar/bin/jacamar-auth" },
  ];
  writeTree(root, entries, parts.timeSeconds);
  mkdirSync(top);
  const spec = join(top, `${variant.name}.spec`);
  writeFileSync(spec, specification(variant, root, entries));
  const definitions = [
    `_topdir ${top}`,
    `_rpmfilename ${variant.name}.rpm`,
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime 1",
    "source_date_epoch_from_changelog 0",
    "clamp_mtime_to_source_date_epoch 1",
    "_binary_payload w9.zstdio",
    // Nothing is to be done to the files: stripped, the executable would lose what it runs.
    "__os_install_post %{nil}",
    "debug_package %{nil}",
    "_build_id_links none",
  ];
  await run(
    "rpmbuild",
    ["-bb", "--quiet", `--target=${architecture}-linux`, ...definitions.flatMap((line) => ["--define", line]), spec],
    {
      // No configuration of the caller's, and nothing in the home.
      env: { PATH: process.env["PATH"], HOME: top, SOURCE_DATE_EPOCH: String(parts.timeSeconds), LC_ALL: "C" },
    },
  );
  const output = join(outdir, `${variant.name}-${version}-1.${architecture}.rpm`);
  copyFileSync(join(top, "RPMS", `${variant.name}.rpm`), output);
  return output;
}

function specification(variant: Variant, root: string, entries: readonly Entry[]): string {
  const { name, hasCapabilities } = variant;
  const again = `rpm --reinstall, or dnf reinstall ${name}`;
  // A directory that no line names would stay when the package goes.
  const documentation = "usr/share/doc/jacamar-ci";
  const directories = new Set(
    entries.flatMap(({ path }) => {
      const parts = path.startsWith(`${documentation}/`) ? path.slice(documentation.length + 1).split("/") : [];
      return parts.map((_, index) => [documentation, ...parts.slice(0, index)].join("/"));
    }),
  );
  const files = entries.map(({ path }) => {
    if (path === "opt/jacamar/bin/jacamar-auth" && hasCapabilities) {
      // Owner, mode and capabilities come with the installation.
      return `%attr(0700, root, root) %verify(not group mode caps) /${path}`;
    }
    return path.includes("/share/doc/") ? `%doc /${path}` : `/${path}`;
  });
  return `${[
    `Name: ${name}`,
    `Version: ${version}`,
    "Release: 1",
    `Summary: ${variant.summary}`,
    "License: Apache-2.0 OR MIT",
    // The shared libraries are found by rpm itself. What the package has of its own is for nobody else.
    "AutoProv: no",
    "Requires: bash",
    ...(hasCapabilities ? ["Requires(post): libcap, glibc-common, coreutils, util-linux, shadow-utils"] : []),
    "Recommends: git-core, podman >= 4.3, shadow-utils",
    `Conflicts: ${variant.other}`,
    "",
    "%description",
    variant.description.join("\n\n"),
    "",
    "%install",
    `cp -a ${root}/. %{buildroot}`,
    "",
    ...(hasCapabilities
      ? [
          // A failing %post would not stop rpm: what can be seen before is seen before.
          "%pre",
          `account=\${JACAMAR_SERVICE_ACCOUNT:-$(head -n 1 /etc/jacamar/service-account 2>/dev/null || :)}`,
          `getent passwd "\${account:-gitlab-runner}" >/dev/null || {`,
          `  echo "${name}: There is no account \\"\${account:-gitlab-runner}\\" to run GitLab Runner as." >&2`,
          `  echo "${name}: Make it, or name another: JACAMAR_SERVICE_ACCOUNT=NAME rpm --install, or dnf install ${name}" >&2`,
          "  exit 1",
          "}",
          "",
          "%post",
          "set -e",
          giveCapabilities(again),
          "",
        ]
      : []),
    "%postun",
    `[ "$1" = 0 ] || exit 0`,
    forget(),
    "",
    "%files",
    "%defattr(-, root, root, 0755)",
    "%dir /opt/jacamar",
    "%dir /opt/jacamar/bin",
    ...[...directories].toSorted().map((path) => `%dir /${path}`),
    ...files,
  ].join("\n")}\n`;
}
