import assert from "node:assert/strict";
import { type AnyJob, logOf } from "../../stopping/jobs.ts";
import type { PlayedCluster } from "../played-cluster.ts";
import type { FaultCase } from "./case.ts";

// In the substitution BASHPID would be its own shell, whose output is a pipe.
const ownOutput = "self=$BASHPID; o=$(readlink /proc/$self/fd/1)";

interface Run {
  readonly job: AnyJob;
  readonly ended: Awaited<ReturnType<AnyJob["run"]>>;
}

/** A script does to its own files what it wants; `$o` is the file that is followed. */
function fileCase(title: string, body: string, check: (run: Run) => void, nfsTimeout = "8s"): FaultCase {
  return {
    title: `the files of a job may ${title}`,
    run: async (cluster: PlayedCluster) => {
      const job = await cluster.ready("", { batch: `nfs_timeout = '${nfsTimeout}'` });
      check({ job, ended: await job.run("build_script", `${ownOutput}\n${body}`, 150) });
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    },
  };
}

/** Does something to the files when the script is over. The job file waits for nothing that has a session of its own. */
const afterwards = (what: string) => `setsid bash -c '${what}' "$o" >/dev/null 2>&1 &`;

/** What shared file systems and users do to the files of a job. Their scheduler works. */
export const badFiles: readonly FaultCase[] = [
  fileCase(
    "appear while the job runs: nothing of the output is lost",
    'mv "$o" "$o.away"; echo early; sleep 4; echo late; mv "$o.away" "$o"; exit 7',
    ({ job, ended }) => {
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(ended.stdout, /^early\nlate$/m);
    },
  ),
  fileCase(
    "appear twenty seconds after its end, as long as the administrator's patience lasts",
    `mv "$o" "$o.away"; echo one; echo two; ${afterwards('sleep 20; mv "$0.away" "$0"')}`,
    ({ ended }) => {
      assert.equal(ended.exitCode, 0, logOf(ended));
      assert.match(ended.stdout, /^one\ntwo$/m);
      assert.doesNotMatch(logOf(ended), /did not appear/);
    },
    "60s",
  ),
  fileCase(
    "never appear: the exit code counts, and what nobody could open is told to be missing",
    'mv "$o" "$o.away"; echo one; exit 7',
    ({ job, ended }) => {
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(logOf(ended), /^one$|4 bytes of the job's output did not appear in time/m);
    },
    "1s",
  ),
  fileCase(
    "grow in halves of a letter",
    "printf '\\xc3'; sleep 1; printf '\\xa4'; sleep 1; printf '\\xf0\\x9f'; sleep 1; printf '\\x9a\\x80\\n'",
    ({ ended }) => assert.match(ended.stdout, /^ä🚀$/m, logOf(ended)),
  ),
  fileCase(
    "be emptied: the rest is shown, and a warning",
    'echo before; sleep 1; : >"$o"; echo after; sleep 1; echo the end',
    ({ ended }) => {
      assert.equal(ended.exitCode, 0, logOf(ended));
      assert.match(ended.stdout, /^before$/m);
      assert.match(ended.stdout, /^the end$/m);
      assert.match(ended.stdout, /WARNING: The output file of the job was emptied/);
    },
  ),
  fileCase(
    "be deleted: the job's end counts all the same",
    'echo before; sleep 1; rm "$o"; echo after; exit 7',
    ({ job, ended }) => {
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(ended.stdout, /^before$/m);
    },
    "2s",
  ),
  fileCase(
    "tell the end late: it is waited for, and not taken for a loss",
    // Whatever sees the status first takes it away for a while; the scheduler has said long before that the job is over.
    `scripts=\${o%/*}
    setsid bash -c '
      until status=$(compgen -G "$0*/*.job-status"); do :; done
      mv "$status" "$status.away"; sleep 5; mv "$status.away" "$status"' "$scripts" >/dev/null 2>&1 &
    echo said; exit 7`,
    ({ job, ended }) => {
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(ended.stdout, /^said$/m);
    },
  ),
  fileCase("have fifty megabytes, in the order of writing", 'seq 1 6600000; echo "the end"', ({ ended }) => {
    assert.equal(ended.exitCode, 0);
    const lines = ended.stdout.split("\n");
    const first = lines.indexOf("1");
    const wrong = lines.slice(first, first + 6_600_000).findIndex((line, index) => line !== String(index + 1));
    assert.equal(wrong, -1);
    assert.equal(lines[first + 6_600_000], "the end");
  }),
];
