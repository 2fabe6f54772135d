import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import * as v from "valibot";
import { asUser, type Ended, type Running, startAsUser, testUser, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
const journald = ["/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"].find((path) =>
  existsSync(path),
);
const skip = (process.getuid?.() !== 0 || journald === undefined) && "needs root and systemd-journald";

/** What journald keeps of a line. */
const entrySchema = v.object({ MESSAGE: v.string(), _UID: v.string() });
/** What a decision and a line of the record have, as far as this test looks. */
const lineSchema = v.object({
  decision: v.optional(v.string()),
  kind: v.optional(v.string()),
  stage: v.string(),
  job: v.number(),
  account: v.optional(v.string()),
});

/** Decisions and records of jobs go to a real journald, which has a /run and a /dev of its own, and the driver with it. */
describe("the record in the log of the system", { skip }, () => {
  const user = testUser();
  const dataDir = join(user.home, ".jacamar-e2e-system-log");
  let stage: Stage;
  let directory = "";
  let daemon: Running;

  before(async () => {
    stage = stageBundle();
    directory = mkdtempSync("/var/tmp/jacamar-e2e-system-log-");
    // An empty /dev would have no null; the machine's own is everybody's, and must get no /dev/log.
    const script = `set -e
      umask 022
      mount -t tmpfs -o mode=755 tmpfs /run
      mkdir -p /run/systemd/journald.conf.d /run/log/journal /run/dev
      printf '[Journal]\\nStorage=volatile\\nAudit=no\\nReadKMsg=no\\nRateLimitBurst=0\\n' > /run/systemd/journald.conf.d/test.conf
      for name in null zero random urandom tty; do cp -a "/dev/$name" /run/dev; done
      ln -s /proc/self/fd /run/dev/fd
      mount --bind /run/dev /dev
      ln -s /run/systemd/journal/dev-log /dev/log
      exec "$0"`;
    daemon = startAsUser(root, ["unshare", "--mount", "sh", "-c", script, journald ?? ""]);
    const sockets = ["stdout", "dev-log"].map((name) => `/proc/${daemon.pid}/root/run/systemd/journal/${name}`);
    for (let attempt = 0; !sockets.every((path) => existsSync(path)); attempt += 1) {
      if (attempt === 600) throw new Error("journald does not listen");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  after(async () => {
    daemon.kill("SIGKILL");
    await daemon.done;
    stage.remove();
    rmSync(directory, { recursive: true, force: true });
    rmSync(dataDir, { recursive: true, force: true });
  });

  /** Runs a program where that journald is the system's. */
  function inside(argv: readonly string[]): Promise<Ended> {
    return asUser(root, ["nsenter", `--mount=/proc/${daemon.pid}/ns/mnt`, ...argv], { cwd: "/", timeoutSeconds: 120 });
  }

  /** All that was written of a job, once its last line is there: journald takes its time. */
  async function linesOf(job: number) {
    const argv = ["journalctl", "--directory=/run/log/journal", "--identifier=jacamar", "--output=json", "--all"];
    for (let attempt = 0; attempt < 300; attempt += 1) {
      const { stdout } = await inside([...argv, "--no-pager"]);
      const lines = stdout
        .split("\n")
        .filter((text) => text !== "")
        .map((text) => v.parse(entrySchema, JSON.parse(text)))
        .map(({ MESSAGE: text, _UID: by }) => ({ by: Number(by), text, ...v.parse(lineSchema, JSON.parse(text)) }))
        .filter((line) => line.job === job);
      if (lines.some(({ kind, stage: name }) => kind !== undefined && name === "cleanup")) return lines;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the journal has no line of cleanup");
  }

  for (const location of ["syslog", "journald"] as const) {
    it(`${location} gets the decision from root, each stage from the user, and jacamar report reads them`, async () => {
      const port = await freePort();
      const configuration = join(directory, `${location}.toml`);
      const pipeline = join(directory, `${location}.yml`);
      writeFileSync(
        configuration,
        `[general]\nexecutor = "shell"\ndata_dir = "${dataDir}"\ngitlab_server = "http://127.0.0.1:${port}"
jwt_env_variable = "SITE_ID_TOKEN"\n[auth]\ndownscope = "setuid"\njwt_required_aud = "site"
[auth.logging]\nlocation = "${location}"\n[record]\nlocation = "${location}"\n`,
        { mode: 0o600 },
      );
      writeFileSync(
        pipeline,
        "one: {id_tokens: {SITE_ID_TOKEN: {aud: site}}, variables: {GIT_STRATEGY: none}, script: [id -un]}\n",
      );
      const driver = ["--driver", join(stage.directory, "jacamar-auth"), "--configuration", configuration];
      const who = ["--token-server", String(port), "--login", user.name];
      const tried = await inside([stage.jacamar, "try", ...driver, ...who, pipeline]);
      assert.equal(tried.exitCode, 0, tried.stdout + tried.stderr);

      const lines = await linesOf(Number(/^Job "one" \((\d+)\)/m.exec(tried.stdout)?.[1]));
      const decisions = lines.filter(({ decision }) => decision !== undefined);
      assert.deepEqual(
        decisions.map(({ decision, account, by }) => [decision, account, location === "journald" ? by : 0]),
        [["allowed", user.name, 0]],
      );
      const record = lines.filter(({ kind }) => kind !== undefined);
      assert.ok(record.every(({ kind, account }) => kind === "stage" && account === user.name));
      const stages = record.map((line) => line.stage);
      for (const name of ["config", "prepare", "build_script", "cleanup"]) assert.ok(stages.includes(name), name);
      // What a user writes can be a user's own invention, and the journal tells which lines these are. Through syslog it does not: of
      // what logger(1) sends it has seen another number.
      if (location === "journald")
        for (const line of record) assert.equal(line.by, line.stage === "config" ? 0 : user.uid, line.stage);

      const saved = join(directory, `${location}.log`);
      writeFileSync(saved, lines.map(({ text }) => `${text}\n`).join(""));
      const page = join(directory, `${location}.html`);
      const reported = await asUser(root, [stage.jacamar, "report", "--output", page, saved]);
      assert.match(reported.stdout + reported.stderr, /: 1 job,/);
    });
  }
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("There is no free port");
  return address.port;
}
