import { distrustedFile } from "./check.ts";
import type { Documented } from "./rule.ts";
import { rules } from "./rules.ts";
import { runnerPatience, runnerUnrelated, runnerWiring } from "./runner-config.ts";

/** What the reading of the file itself warns of (src/config/). */
const ofTheFile: readonly Documented[] = [
  distrustedFile,
  {
    name: "open-pattern",
    severity: "warning",
    means: "A regular expression of `image_allowlist` has no `^` at its start or no `$` at its end.",
    why: "It matches anywhere in a name: `registry.example.com/group/` also matches `evil.example/registry.example.com/group/x`. With `|` only the first alternative begins at `^`.",
    remedy: "`^…$`, and parentheses around alternatives: `^(a|b)$`.",
  },
  {
    name: "no-effect",
    severity: "warning",
    means: "A key is right and does nothing beside the others.",
    why: "The message names the key without which, or with which, it has no effect: `default_image` without `force_mechanism`, `[general.podman]` without `run_mechanism`.",
    remedy: "Set the other key, or remove this one.",
  },
  {
    name: "toml-slash",
    severity: "warning",
    means: "A text in double quotes holds `\\/`, which is not TOML and is read as `/`.",
    why: "Some older programs take it, and so does this one; editors and other tools refuse the file.",
    remedy: "Write `/`, or use single quotes, in which a backslash is only a backslash.",
  },
];

/** Everything that `jacamar check` can find beside mistakes of form, in the order of docs/check.md. */
export const documentedRules: readonly Documented[] = [
  ...rules,
  ...ofTheFile,
  runnerWiring,
  runnerPatience,
  runnerUnrelated,
];

/** docs/check.md in Markdown. */
export function checkReference(): string {
  const rows = documentedRules.map(
    ({ name, severity, means }) => `| [\`${name}\`](#${name}) | ${severity} | ${means} |`,
  );
  const entries = documentedRules.flatMap(({ name, severity, means, why, remedy }) => [
    `### \`${name}\``,
    `*${severity[0]?.toUpperCase()}${severity.slice(1)}.* ${means}`,
    why,
    `**What to do:** ${remedy}`,
  ]);
  const table = ["| Rule | | What it finds |", "| --- | --- | --- |", ...rows].join("\n");
  return `${[introduction, table, ...entries].join("\n\n")}\n`;
}

const introduction = `# Checking a configuration: \`jacamar check\`

<!-- Written by scripts/write-reference.ts from src/check/. Do not edit. -->

\`jacamar check\` finds every problem of a configuration at once, and what is allowed and probably not meant:

\`\`\`console
$ jacamar check /etc/gitlab-runner/jacamar.toml
/etc/gitlab-runner/jacamar.toml:7:1: problem: general.forse_mechanism: is not a key of [general]; did you mean "force_mechanism"?
/etc/gitlab-runner/jacamar.toml:9:19: warning: general.podman.custom_options[0]: --pid=host shows containers all processes of the machine, and lets them signal the user's own [option-undoes-protection]
/etc/gitlab-runner/jacamar.toml: 1 problem, 1 warning
\`\`\`

Each line has the place, as compilers write it, the key, what is wrong, and at the end the rule, which is described below.
Lines without a rule come from the schema: [configuration.md](configuration.md) says what each key takes.

| Option | |
| --- | --- |
| \`FILE\` | the configuration; without it \`/etc/gitlab-runner/jacamar.toml\`; \`-\` is standard input |
| \`--runner-config FILE\` | also compare with the \`config.toml\` of GitLab Runner |
| \`--elsewhere\` | the file is for another machine: its programs, accounts and owner are not looked at |
| \`--strict\` | warnings count as problems |
| \`--json\` | one JSON object on standard output: \`{"file", "problems": […], "warnings": […]}\`; each entry has \`file\`, \`line\`, \`column\`, \`path\`, \`message\`, and where there is one \`expected\`, \`suggestion\` and \`rule\` |

| Exit code | |
| --- | --- |
| 0 | no problem; there may be warnings |
| 1 | a problem, or with \`--strict\` a warning |
| 2 | the file cannot be read, or the call is wrong |

A job of a pipeline that keeps the configuration in a repository runs \`jacamar check --elsewhere --strict FILE\`.

Run it as root or as the account of GitLab Runner. Nothing is changed, nothing is asked of a network but the name service.

## In an editor

\`jacamar.schema.json\`, beside the program, is a JSON Schema of the file. Editors with the Taplo language server (Even Better TOML in
Visual Studio Code, and others) complete keys, show their descriptions and mark mistakes when the first line of the file
names it:

\`\`\`toml
#:schema /opt/jacamar/bin/jacamar.schema.json
[general]
executor = "shell"
data_dir = "$HOME/.jacamar-ci"
\`\`\`

## Rules`;
