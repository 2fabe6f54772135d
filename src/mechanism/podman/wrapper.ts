/**
 * The program that a container is given to run: it runs the script that the runner generated and leaves its exit status
 * beside it. Podman's own exit code cannot tell a script's `exit 125` from a failure of Podman's (facts/podman.md, Exit
 * codes), and an entrypoint may forget to run anything at all.
 *
 * It is for any POSIX shell, since images without Bash have to run it. The generated script needs Bash or a shell that
 * knows `$'…'` (facts/gitlab-runner.md, 1.5). It finds its files by its own path, so its text is the same for all jobs.
 *
 * It also leaves when the script began, and the most memory that the container's control group has used, where that is one
 * of cgroups v2 (`memory.peak`, since Linux 5.19): to ask Podman for either would take longer than most stages.
 */
export const containerWrapper = `#!/bin/sh
# Runs the script that GitLab Runner generated for this stage, and leaves its exit status for the driver.
JACAMAR_CI=true
# There may be a terminal, but nobody at it: Git must fail, not ask for a password.
GIT_TERMINAL_PROMPT=\${GIT_TERMINAL_PROMPT-0}
export JACAMAR_CI GIT_TERMINAL_PROMPT
{ : > "$0.began"; } 2>/dev/null
if command -v bash >/dev/null 2>&1; then
  bash "$0.generated"
  status=$?
elif [ "$(eval "printf %s \\$'a'")" = a ]; then
  sh "$0.generated"
  status=$?
else
  echo "The image has neither Bash nor a shell that can read GitLab Runner's scripts." >&2
  echo "Use an image with Bash, or set the variable FF_POSIXLY_CORRECT_ESCAPES to true." >&2
  status=127
fi
(
  read -r peak < /sys/fs/cgroup/memory.peak && read -r limit < /sys/fs/cgroup/memory.max || exit
  # A process that is not of this container has the number 0 here: then the control group is not the container's own.
  while read -r pid; do [ "$pid" != 0 ] || exit; done < /sys/fs/cgroup/cgroup.procs
  echo "$peak $limit" > "$0.memory"
) 2>/dev/null
{ echo "$status" > "$0.status"; } 2>/dev/null
exit "$status"
`;

/** Where the wrapper at `path` looks for the script. */
export function generatedScriptOf(path: string): string {
  return `${path}.generated`;
}
