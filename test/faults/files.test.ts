import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PlayedCluster } from "../e2e/schedulers/played-cluster.ts";
import { logOf } from "../e2e/stopping/jobs.ts";

/**
 * What shared file systems and users do to the files of a job. The script does it to itself: its standard output is the file
 * that is followed.
 */
describe("the files of a job", () => {
  let cluster: PlayedCluster;
  before(async () => {
    cluster = await PlayedCluster.open("slurm", "files");
  });
  after(() => cluster.close());

  // In the substitution BASHPID would be its own shell, whose output is a pipe.
  const file = "self=$BASHPID; o=$(readlink /proc/$self/fd/1)";

  async function run(body: string, batch = "nfs_timeout = '8s'") {
    const job = await cluster.ready("", { batch });
    const ended = await job.run("build_script", `${file}\n${body}`);
    return { job, ended };
  }

  it("may appear late: nothing of the output is lost", async () => {
    const { job, ended } = await run('mv "$o" "$o.away"; echo early; sleep 4; echo late; mv "$o.away" "$o"; exit 7');
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(ended.stdout, /^early\nlate$/m);
  });

  it("may appear after the job has ended, as long as the administrator's patience lasts", async () => {
    const hide = `setsid bash -c 'sleep 3; mv "$0.away" "$0"' "$o" >/dev/null 2>&1 &`;
    const { ended } = await run(`mv "$o" "$o.away"; echo one; echo two; ${hide}`);
    assert.equal(ended.exitCode, 0, logOf(ended));
    assert.match(ended.stdout, /^one\ntwo$/m);
    assert.doesNotMatch(logOf(ended), /did not appear/);
  });

  it("may be taken away at once: the exit code counts; what nobody could open is told to be missing", async () => {
    const { job, ended } = await run('mv "$o" "$o.away"; echo one; exit 7', "nfs_timeout = '1s'");
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(logOf(ended), /^one$|4 bytes of the job's output did not appear in time/m);
  });

  it("may grow in halves of a letter", async () => {
    const body =
      "printf '\\xc3'; sleep 1; printf '\\xa4'; sleep 1; printf '\\xf0\\x9f'; sleep 1; printf '\\x9a\\x80\\n'";
    const { ended } = await run(body);
    assert.match(ended.stdout, /^ä🚀$/m, logOf(ended));
  });

  it("may be emptied: the rest is shown, and a warning", async () => {
    const { ended } = await run('echo before; sleep 1; : >"$o"; echo after; sleep 1; echo the end');
    assert.equal(ended.exitCode, 0, logOf(ended));
    assert.match(ended.stdout, /^before$/m);
    assert.match(ended.stdout, /^the end$/m);
    assert.match(ended.stdout, /WARNING: The output file of the job was emptied/);
  });

  it("may be deleted: the job's end counts all the same", async () => {
    const { job, ended } = await run('echo before; sleep 1; rm "$o"; echo after; exit 7', "nfs_timeout = '2s'");
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(ended.stdout, /^before$/m);
  });

  it("may tell the end late: it is waited for, and not taken for a loss", async () => {
    // Whatever sees the status first takes it away for a while; the scheduler has said long before that the job is over.
    const scripts = "${o%/*}";
    const hide = `setsid bash -c '
      until status=$(compgen -G "$0*/*.job-status"); do :; done
      mv "$status" "$status.away"; sleep 5; mv "$status.away" "$status"' "${scripts}" >/dev/null 2>&1 &`;
    const { job, ended } = await run(`${hide}\necho said; exit 7`);
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(ended.stdout, /^said$/m);
  });

  it("may be many bytes at once, in the order of writing", async () => {
    const { ended } = await run('seq 1 400000; echo "the end"');
    assert.equal(ended.exitCode, 0);
    const lines = ended.stdout.split("\n");
    const first = lines.indexOf("1");
    assert.equal(lines.slice(first, first + 400_000).at(-1), "400000");
    assert.ok(lines.slice(first, first + 400_000).every((line, index) => line === String(index + 1)));
  });
});
