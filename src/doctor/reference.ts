import { checks } from "./checks.ts";

/** docs/doctor.md in Markdown, from the checks' own words. */
export function doctorReference(): string {
  const parts = checks.flatMap(({ name, looksAt, network, ofMachine, explains, entries }) => [
    `## \`${name}\``,
    [
      `Looks at: ${looksAt}`,
      ...(network ? ["Asks the network, so `--no-network` leaves it out."] : []),
      ...(ofMachine ? ["Root without `--user` sees it, too."] : []),
    ].join(" "),
    ...(explains.length > 0
      ? [`Runs by itself when a stage fails with ${explains.map((code) => `\`${code}\``).join(", ")}.`]
      : []),
    ...Object.entries(entries).flatMap(([finding, { level, means, why, todo }]) => [
      `### \`${finding}\``,
      `*${level === "wrong" ? "Wrong" : "Warning"}.* ${means}`,
      why,
      `**What to do:** ${todo}`,
    ]),
  ]);
  return `${[introduction, ...parts].join("\n\n")}\n`;
}

const introduction = `# Looking at a system: \`jacamar doctor\`

<!-- Written by scripts/write-reference.ts from src/doctor/. Do not edit. -->

\`jacamar doctor\` looks at a machine as a job would meet it, and says what is wrong and what to do about it:

\`\`\`console
# jacamar doctor --user alice
Looking as alice, with /etc/gitlab-runner/jacamar.toml
ok       login              0.1 s
wrong    programs           there is no gitlab-runner on the PATH of alice, so artifacts and caches are lost without a word [programs-no-runner]
                            ask the administrator for GitLab Runner's package on this machine, or for runner_image in [general.podman]
…
wrong    subordinate-ids    rootless Podman has no subordinate ids for alice [subordinate-ids-missing]
                            as root: usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice
ok       id-mapping         /usr/bin/newuidmap, /usr/bin/newgidmap
…
2 wrong, 0 warnings, 17 ok
\`\`\`

As root with \`--user\`, the process becomes that user for good, with all groups and no rights, before it looks at anything of
the user's: as a job does. Root runs no jobs, so root without \`--user\` sees the machine alone. Anybody else looks at their own
account. Podman is asked in the surroundings of a job; where the account has no image store yet, with a store that is removed
again, since the first real one decides the storage driver for ever.

With a scheduler, the users' containers run on its nodes. Look there, too: \`srun jacamar doctor\`, or the like.

| Option | |
| --- | --- |
| \`--user NAME\` | as root: look as that user |
| \`--configuration FILE\` | the configuration of the jobs; without it \`/etc/gitlab-runner/jacamar.toml\`, where that is there |
| \`--no-network\` | ask neither GitLab nor registries |
| \`--check NAME\` | make this check alone; may be repeated |
| \`--json\` | one JSON object on standard output: \`{"account", "configuration", "machineOnly", "checks": […]}\`. Each check has \`check\`, \`kind\` (\`ok\`, \`skipped\`, \`unknown\`, \`found\`) and \`milliseconds\`; \`found\` has \`findings\` with \`name\`, \`level\` (\`wrong\`, \`warning\`), \`text\`, \`advice\` and where there is one \`remedy\` |

| Exit code | |
| --- | --- |
| 0 | nothing is wrong; there may be warnings |
| 1 | something is wrong |
| 2 | it could not be looked: the call is wrong, there is no such user, or the configuration cannot be used |

What is \`wrong\` makes jobs fail, or loses work without a word. With a \`warning\` jobs run, more slowly or less surely than they
could. \`unknown\` is a check that did not come to an end, or that the system hindered. Nothing is changed: the commands are for
you to read first.

## In the job log

When a stage fails for the site's reasons, the checks that may explain it run by themselves, as the job's user, for at most five
seconds, and what is wrong stands below the failure:

\`\`\`text
ERROR: Cannot pull the image "registry.example.com/group/image:1": … potentially insufficient UIDs or GIDs …
  The registry or the network may be down: retry the job. If it stays, show this line to the administrators.
  Found on this machine:
  - rootless Podman has no subordinate ids for alice: ask the administrator for a line in /etc/subuid (as root: usermod …)
\`\`\``;
