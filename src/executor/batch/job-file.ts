import type { Profile } from "../../mechanism/bash.ts";
import { batchLabel } from "../../mechanism/podman/command.ts";
import { jobMemory } from "./job-memory.ts";
import { shellWord, shellWords } from "./shell-word.ts";
import { softSignal } from "./soft-signal.ts";

/** Where a batch job's files are. All are the user's own. */
export interface JobFiles {
  /** The job file itself. */
  readonly jobFile: string;
  /** What the script prints, both streams in one. */
  readonly output: string;
  /** What the scheduler has to say, and the job file when something is wrong with its node. */
  readonly log: string;
  /** Is there from the job's first moment on its node: what the scheduler calls it. */
  readonly ownId: string;
  /** Is there when the login is through: when the job began, and on which node. */
  readonly started: string;
  /** Is there when all is over: see `status-file.ts`. */
  readonly status: string;
  /** Is there when the driver has asked the job to end: it then has the whole grace for it. */
  readonly stopping: string;
  /** Says whether anybody waits for the job, see `wanted.ts`. A scheduler may start one long after that: it then does nothing. */
  readonly wanted: string;
}

/** A container, as the job file starts it. */
export interface ContainerRun {
  /** The Podman program: a path, or a name on the login's PATH. */
  readonly podman: string;
  /** `podman run` and its options, without the image. */
  readonly options: readonly string[];
  /** What is run: an archive with its transport, or a name that the node pulls. */
  readonly image: string;
  /** The argument after the image. */
  readonly argument: string;
  readonly name: string;
  /** Containers that have ended stay (`disable_container_removal`). */
  readonly keepEnded: boolean;
  /** Pieces of Bash that add to the array `options` what is known on the node only. What they print is shown to the user. */
  readonly onNode: readonly string[];
}

/** All that a job file is made of. */
export interface JobFileSpec {
  /** For whoever reads the file. */
  readonly title: string;
  readonly shellPath: string;
  readonly profile: Profile;
  readonly files: JobFiles;
  /** The script, as the host's Bash or the container gets it; its own status is left beside it by a container. */
  readonly script: string;
  readonly scriptStatus: string;
  /** Where the memory that the job has used is left, and by what its control group is known: see `job-memory.ts`. Of the host only. */
  readonly memory: { readonly file: string; readonly mark: string } | undefined;
  readonly workingDirectory: string;
  /** What the scheduler calls the job, in double quotes of sh (`Scheduler.ownId`). */
  readonly ownId: string;
  /** Bash that prints the names of the job's nodes. */
  readonly nodeList: string;
  readonly uid: number;
  /** How long what runs may take to end when the driver stops the job. */
  readonly stopGraceSeconds: number;
  /** How long a shared file system may take to show this file to the node. */
  readonly patienceSeconds: number;
  /** Undefined: the script runs in the login shell itself. */
  readonly container: ContainerRun | undefined;
}

/**
 * The job file: a script that any scheduler can run, in whatever shell it likes, and that a person can read. It starts
 * itself again in a clean login Bash, says that the job has begun, runs the script with its output in a file of its own, and
 * as its last act leaves how the script ended and how many bytes it wrote, all at once, by a rename.
 *
 * When it is told to end (SIGTERM from the driver, or from the scheduler at a limit) it ends what it runs, and says so in the
 * status. All that depends on the job stands at the top as words of shell; the rest is the same for all jobs.
 */
export function jobFile(spec: JobFileSpec): string {
  const { files, container } = spec;
  const login = spec.profile === "login" ? "-l" : "--noprofile --norc";
  return `#!/bin/sh
# ${printable(spec.title)}
# Written by the CI runner for one CI job. The script of the job is: ${printable(spec.script)}

# A scheduler runs a copy of this file, by a shell of its choice. The file itself may come late on a shared file system.
# First of all it says what the scheduler calls it: a runner that got no answer knows it by that. A job that was submitted twice
# runs once: the first to say so has it, again and again if it is requeued.
# A job that nobody waits for any more, since the scheduler has said too late that it has it, does nothing; one of which the
# runner does not know yet waits until it does.
if [ "\${1-}" != login ]; then
  # Slurm, for one, sends a signal that a user has asked for at once to a job that is shorter than the time before its end.
  trap : USR1 USR2
  waited=0
  own_id="${spec.ownId}"
  id_file=${shellWord(files.ownId)}
  tell() {
    [ -n "$own_id" ] || return 0
    if [ ! -e "$id_file" ]; then
      (umask 077 && printf '%s\\n' "$own_id" >"$id_file.$$") 2>/dev/null
      ln "$id_file.$$" "$id_file" 2>/dev/null || [ -e "$id_file" ] || mv -f "$id_file.$$" "$id_file" 2>/dev/null
      rm -f "$id_file.$$"
    fi
    first=
    { read -r first <"$id_file"; } 2>/dev/null
    if [ -n "$first" ] && [ "$first" != "$own_id" ]; then
      echo "The CI job runs as job $first: nothing is done" >&2
      exit 1
    fi
  }
  wanted() { { read -r word <${shellWord(files.wanted)}; } 2>/dev/null && [ "$word" = yes ]; }
  until
    tell
    [ -r ${shellWord(files.jobFile)} ] && wanted
  do
    if [ "$waited" -ge ${Math.ceil(spec.patienceSeconds)} ] && [ ! -r ${shellWord(files.jobFile)} ]; then
      echo "The job file does not appear on $(hostname)" >&2
      exit 1
    elif [ "$waited" -ge ${Math.ceil(spec.patienceSeconds) + unknownSeconds} ]; then
      echo "The CI job is over: nothing is done" >&2
      exit 1
    fi
    sleep 1
    waited=$((waited + 1))
  done
  exec ${shellWord(spec.shellPath)} ${login} ${shellWord(files.jobFile)} login
fi
${spec.profile === "etc-profile-only" ? "if [ -r /etc/profile ]; then . /etc/profile; fi\n" : ""}set +e
# Nothing of this file has a name that the script could mean, and what start-up files have made of names that are used here does not count.
ci_aliases=$(shopt -p expand_aliases)
shopt -u expand_aliases
umask 077
shift
ci_output=${shellWord(files.output)}
ci_started=${shellWord(files.started)}
ci_status=${shellWord(files.status)}
ci_stopping=${shellWord(files.stopping)}
ci_wanted=${shellWord(files.wanted)}
ci_script=${shellWord(spec.script)}
ci_script_status=${shellWord(spec.scriptStatus)}
ci_uid=${spec.uid}
ci_stop_grace=${Math.ceil(spec.stopGraceSeconds)}
export JACAMAR_CI=true JACAMAR_CI_SHELL=${shellWord(spec.shellPath)}

ci_nodes() {
  ${spec.nodeList}
}
${followed}
command cd ${shellWord(spec.workingDirectory)} || ci_leave 1
${container === undefined ? onHost(spec.memory) : inContainer(container, spec.ownId)}
${waitAndLeave}`;
}

/** How much longer a job waits to be known than a shared file system may be late. The driver looks more often than that. */
const unknownSeconds = 15;

/** A comment ends with its line. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}

const followed = `
# Leaves how it ended: the whole line at once, or nothing.
ci_leave() { # CODE
  trap '' TERM INT HUP ${softSignal} USR1 USR2
  local ci_code=$1 bytes
  bytes=$(command wc -c 2>/dev/null </proc/self/fd/7) || bytes=0
  printf 'script=%s client=%s bytes=%s signal=%s began=%s ended=%s\\n' \\
    "\${ci_script_code-none}" "$ci_code" "$((bytes))" "\${ci_told-none}" "$ci_began" "$(command date +%s)" >"$ci_status.new" && command mv -f "$ci_status.new" "$ci_status"
  exit "$ci_code"
}

# The login may have taken its time.
[ -e "$ci_wanted" ] || { echo "The CI job is over: nothing is done" >&2; exit 1; }

# What is there is of a start before this one: the job was requeued.
command rm -f "$ci_status"
ci_began=$(command date +%s)
printf '%s %s\\n' "$ci_began" "$(ci_nodes 2>/dev/null | head -n 1 | tr -d '\\n' | cut -c 1-500)" >"$ci_started.new" && command mv -f "$ci_started.new" "$ci_started"
[ -s "$ci_started" ] || echo "The file $ci_started cannot be written" >&2
# It stays open here, so that what was written is known, whatever becomes of its name.
exec 7>>"$ci_output" || ci_leave 1

# The scheduler's own grace is not known; half a minute is usual. The driver waits for as long as it says.
ci_grace() { if [ -e "$ci_stopping" ]; then echo "$ci_stop_grace"; elif [ "$ci_stop_grace" -lt 15 ]; then echo "$ci_stop_grace"; else echo 15; fi; }

# What runs is told to end, once, and made to end when it has not after the grace. A signal may come before anything runs, or
# before this shell has noted what does: then it is heeded as soon as that is known.
ci_told= ci_child= ci_killer=
ci_end() { # SIGNAL
  [ -z "$ci_told" ] || return 0
  ci_told=$1
  [ -z "$ci_child" ] || ci_stop
}
# A second word changes nothing: neither here nor in what is started from now on, which inherits that. What tells and forces has a
# process group of its own, so that all of it ends with one signal that cannot be missed.
ci_stop() {
  [ -z "$ci_killer" ] || return 0
  trap '' TERM INT HUP ${softSignal}
  set -m
  { set +m; ci_tell & sleep "$(ci_grace)"; ci_force; } >/dev/null 2>&1 </dev/null 7>&- 8>&- &
  ci_killer=$!
  set +m
  disown "$ci_killer"
}
# Of what the script has asked for nothing is known yet; it must not end this shell.
trap : USR1 USR2
trap 'ci_end TERM' TERM ${softSignal}
trap 'ci_end INT' INT
trap 'ci_end HUP' HUP
# The driver may have told it during the login, when nothing heeded its signal.
[ ! -e "$ci_stopping" ] || ci_told=TERM
`;

function onHost(memory: JobFileSpec["memory"]): string {
  return `${memory === undefined ? "" : `ci_memory=${shellWord(memory.file)}\ncommand rm -f "$ci_memory"\n${jobMemory}`}
# Schedulers often tell all processes of a job. The script must hear it once: a canary tells whether it has already.
ci_tell() {
  local state=
  sleep 0.2
  # One that has ended may still wait for this shell to notice.
  read -r _ _ state _ <"/proc/$ci_canary/stat"
  case $state in '' | Z | X) return ;; esac
  kill -TERM -- "-$ci_child"
  kill -CONT -- "-$ci_child"
}
ci_force() { kill -KILL -- "-$ci_child"; }
ci_finish() {
  kill -KILL "$ci_canary" 2>/dev/null
  ci_script_code=$1${memory === undefined ? "" : `\n  ci_memory_of "${memory.mark}" >"$ci_memory"`}
}

# A signal that users ask the scheduler for is for the script's own traps, as in a script that is submitted by hand: what the
# script runs does not get it. The script is a shell, and GitLab Runner lets the user's lines run in one below that.
ci_pass() { # SIGNAL
  local list pid level=$ci_child
  for _ in script lines; do
    read -r list <"/proc/$level/task/$level/children"
    for pid in $list; do
      if cmp -s "/proc/$$/cmdline" "/proc/$pid/cmdline"; then
        kill "-$1" "$pid"
        level=$pid
        break
      fi
    done
  done 2>/dev/null
}

[ -z "$ci_told" ] || ci_leave 143

# The login shell reads the script itself: the functions of its start-up files (module) are there. Its own process group can
# be told to end without this shell.
set -m
sleep 2147483647 >/dev/null 2>&1 </dev/null 7>&- &
ci_canary=$!
disown "$ci_canary" # its end is no news
# One that comes before it is known what runs is passed on then.
ci_usr1= ci_usr2=
trap 'ci_usr1=yes' USR1
trap 'ci_usr2=yes' USR2
( set +m; trap - INT HUP; trap : USR1 USR2; set --; trap 'set -- 143' TERM; (trap : USR1 USR2; eval "$ci_aliases"; . "$ci_script"); set -- "$?" "$@"; exit "\${2:-$1}" ) >&7 2>&1 </dev/null 7>&- &
ci_child=$!
set +m
[ -z "$ci_told" ] || ci_stop
trap 'ci_pass USR1' USR1
trap 'ci_pass USR2' USR2
[ -z "$ci_usr1" ] || ci_pass USR1
[ -z "$ci_usr2" ] || ci_pass USR2
`;
}

function inContainer(container: ContainerRun, ownId: string): string {
  return `
# Podman's surroundings on this node: a directory of the user's, made by the system or by this job, and a place for what it unpacks.
ci_without() { # MESSAGE
  [ -z "$ci_told" ] || ci_leave 143 # what was told with this shell has failed for that reason
  echo "$1" >&7
  ci_leave 1
}
own() { [ -d "$1" ] && [ ! -h "$1" ] && [ "$(stat -c '%u %a' -- "$1")" = "$ci_uid 700" ]; }
XDG_RUNTIME_DIR=
for place in "/run/user/$ci_uid" "/tmp/jacamar-ci-$ci_uid" "$PWD/run"; do
  case $place in /run/*) ;; *) mkdir -m 0700 "$place" 2>/dev/null ;; esac
  if own "$place"; then XDG_RUNTIME_DIR=$place; break; fi
done
[ -n "$XDG_RUNTIME_DIR" ] || ci_without "There is no runtime directory for Podman on this node: /tmp/jacamar-ci-$ci_uid is not yours"
TMPDIR=$(mktemp -d "\${TMPDIR:-/tmp}/jacamar-ci-XXXXXXXX") || ci_without "There is no room for temporary files on this node"
export XDG_RUNTIME_DIR TMPDIR

podman=${shellWord(container.podman)}
name=${shellWord(container.name)}
image=${shellWord(container.image)}
argument=${shellWord(container.argument)}
keep_ended=${container.keepEnded ? "yes" : "no"}
options=(${shellWords(container.options)})
# By this an epilog of the scheduler finds what is left of this job.
batch_job="${ownId}"
[ -z "$batch_job" ] || options=("\${options[0]}" --label "${batchLabel}=$batch_job" "\${options[@]:1}")
{
:
${container.onNode.join("\n")}
} >&7 2>&1

# In a session of its own it comes to its end, whatever is told to this shell's process group or becomes of who has asked for it.
remove() { if [ "$keep_ended" = yes ]; then setsid "$podman" stop --time 0 "$name"; else setsid "$podman" rm --force --time 0 --volumes --ignore "$name"; fi; }
is_left() { "$podman" ps --quiet --filter "name=^$name\\$" | grep -q .; }
# Not before the container runs, and something in it, it can be told.
ci_tell() { until "$podman" exec --user=0 "$name" /bin/sh -c 'kill -TERM -1'; do kill -0 "$ci_child" && sleep 0.5 || return; done; }
ci_force() { remove; kill -KILL "$ci_child"; }
ci_finish() { # CODE
  ci_script_code=$(cat "$ci_script_status" 2>/dev/null)
  case $ci_script_code in '' | *[!0-9]*) ci_script_code=none ;; esac
  # The container has outlived its client, or never came to run the script.
  if [ "$ci_script_code" = none ] || [ -n "$ci_told" ]; then
    for try in 1 2 3 4 5; do
      remove >/dev/null 2>&1 7>&- 8>&-
      is_left 7>&- 8>&- || break
      sleep "$try"
    done
  fi
  echo over >&8
  exec 8>&-
  cd / && rm -rf -- "$TMPDIR"
}

# Whatever kills this shell may leave the container, which has a session of its own. So has this guard: it removes the
# container when the shell is gone without a word.
guard='
  trap "" TERM INT HUP
  read -r word
  exec </dev/null
  if [ "$word" != over ]; then
    for wait in 0 1 2 4 8; do sleep "$wait"; "$2" rm --force --time 0 --volumes --ignore "$3"; done
    rm -rf -- "$1"
  fi'
mkfifo -m 0600 "$TMPDIR/guard" && exec 8<>"$TMPDIR/guard" || { rm -rf -- "$TMPDIR"; ci_without "The temporary directory of this node takes no pipes: $TMPDIR"; }
# It is opened while this shell surely has the other end: opened later, by a guard whose shell is gone, it would wait for ever.
setsid bash --noprofile --norc -c "$guard" jacamar-ci-guard "$TMPDIR" "$podman" "$name" <"$TMPDIR/guard" >/dev/null 2>&1 7>&- 8>&- &

if [ -n "$ci_told" ]; then ci_finish 143; ci_leave 143; fi

# In a session of its own the client gets no signal that is meant for this shell's process group.
setsid "$podman" "\${options[@]}" "$image" "$argument" >&7 2>&1 </dev/null 7>&- 8>&- &
ci_child=$!
[ -z "$ci_told" ] || ci_stop
`;
}

const waitAndLeave = `
# A signal interrupts the waiting, not what is waited for. That the shell tells of a killed one is no news for the user.
while :; do
  wait "$ci_child" 2>/dev/null
  ci_code=$?
  if ! kill -0 "$ci_child" 2>/dev/null; then
    wait "$ci_child" 2>/dev/null
    ci_late=$?
    [ "$ci_late" = 127 ] || ci_code=$ci_late
    break
  fi
done
# From now on there is nothing to be told.
ci_child=
# What tells all processes of a job may reach the script before this shell: then it comes now, and is why the script failed.
if [ "$ci_code" != 0 ] && [ -z "$ci_told" ]; then sleep 0.2; fi
[ -z "$ci_killer" ] || kill -KILL -- "-$ci_killer" 2>/dev/null
ci_finish "$ci_code"
# A Podman client that is told to end says that all went well.
if [ -n "$ci_told" ] && [ "$ci_code" = 0 ]; then ci_code=143; fi
case $ci_script_code in none) ci_leave "$ci_code" ;; *) ci_leave "$ci_script_code" ;; esac
`;
