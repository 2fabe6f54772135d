import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { asUser, otherUser, type Running, startAsUser, testUser, type User } from "../../harness/machine.ts";
import { JacamarError } from "../../../src/error/error.ts";
import { makeDirectoryFor } from "../../../src/workspace/directories.ts";
import { makeAccount, makeOpenDirectory, makePlace, type Place, removeAccount, skip } from "./support/place.ts";

const user = testUser();
const other = otherUser() ?? user;
const rounds = 1000;

/**
 * Puts, as fast as it can, something else in the place of a path, one after the other by chance: a link to the target, a
 * file, a FIFO, a directory that all can write, a directory full of files, nothing. Prints how often, when it is told to
 * stop. The paths come in a file: cleanup ends whatever has a directory of the job on its command line.
 */
const swap = `
target=$1; stop=$2; rounds=0
mapfile -t paths < "$3"
until [ -e "$stop" ]; do
  path=\${paths[RANDOM % \${#paths[@]}]}
  case $((RANDOM % 6)) in
    0) ln -sfn "$target" "$path" ;;
    1) rm -rf "$path"; : <> "$path" ;; # as a FIFO of the other attacker it would hold up a plain >
    2) rm -rf "$path"; mkfifo "$path" ;;
    3) rm -rf "$path"; mkdir -m 0777 "$path" ;;
    4) rm -rf "$path"; mkdir -m 0700 "$path" && (cd "$path" && : <> a && ln -s "$target" b && mkdir c) ;;
    5) rm -rf "$path" ;;
  esac 2> /dev/null
  rounds=$((rounds + 1))
done
echo "$rounds"
`;

describe("while another process swaps every path", { skip }, () => {
  let place: Place;
  let area: string;
  /** What an attacker wants to have: a directory of root's, and one of another user's. */
  let ofRoot: string;
  let ofOther: string;
  let racer: User;

  before(async () => {
    place = await makePlace("races");
    racer = makeAccount("jacamar-e2e-racer");
    area = makeOpenDirectory("/var/tmp/jacamar-e2e-races", 0o755);
    ofRoot = makeOpenDirectory(join(area, "of-root"), 0o755);
    ofOther = makeOpenDirectory(join(area, "of-other"), 0o755);
    for (const directory of [ofRoot, ofOther]) {
      mkdirSync(join(directory, "inside"));
      writeFileSync(join(directory, "inside", "file"), "precious\n");
    }
    for (const path of [ofOther, join(ofOther, "inside"), join(ofOther, "inside", "file")])
      chownSync(path, other.uid, other.gid);
  });
  after(async () => {
    await place.remove();
    rmSync(area, { recursive: true, force: true });
    removeAccount(racer);
  });
  let precious: string;
  beforeEach(() => {
    precious = look(ofRoot) + look(ofOther);
  });

  it(`root never gives away a directory that it did not make itself (${rounds} rounds in a sticky directory)`, async () => {
    const sticky = makeOpenDirectory(join(area, "sticky"), 0o1777);
    const path = join(sticky, user.name);
    const attacker = startSwapping(racer, ofRoot, [path]);
    const theirs = startSwapping(user, ofOther, [path]);
    let made = 0;
    for (let round = 0; round < rounds; round += 1) {
      try {
        makeDirectoryFor(path, user);
        made += 1;
      } catch (error) {
        assert.ok(error instanceof JacamarError, String(error));
        assert.match(error.code, /^directory_/);
      }
      const found = lstatSync(path, { throwIfNoEntry: false });
      // Never one that root has made and left to itself, nor anything given to somebody who did not make it.
      if (found) assert.ok([user.uid, racer.uid, 0].includes(found.uid));
      if (round % 20 === 0) await asUser(user, ["rm", "-rf", path]);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const swaps = (await attacker.stop()) + (await theirs.stop());
    assert.ok(swaps >= rounds, `${swaps} swaps`);
    assert.ok(made > 0, "the control: it is made when nobody hinders it");
    assert.equal(look(ofRoot) + look(ofOther), precious);
  });

  it("root_dir_creation: a planted link, somebody else's directory and an open parent are refused", async () => {
    const parents: readonly (readonly [string, number, (path: string) => void])[] = [
      ["a link of the user's to root's directory", 0o1777, (path) => plantLink(path, ofRoot, user)],
      ["a link of the user's to another's directory", 0o1777, (path) => plantLink(path, ofOther, user)],
      ["a link of a stranger's", 0o1777, (path) => plantLink(path, ofOther, racer)],
      ["a link to nowhere", 0o1777, (path) => plantLink(path, join(area, "nowhere"), user)],
      ["somebody else's directory", 0o1777, (path) => plantDirectory(path, racer)],
      ["root's directory", 0o1777, (path) => mkdirSync(path)],
      ["a file", 0o1777, (path) => writeFileSync(path, "")],
      ["a parent that all can write", 0o777, () => undefined],
    ];
    for (const [index, [what, mode, plant]] of parents.entries()) {
      const dataDir = makeOpenDirectory(join(area, `data-${index}`), mode);
      plant(join(dataDir, user.name));
      const before = look(dataDir);
      const job = place.job("setuid as root", { dataDir, auth: "root_dir_creation = true" });
      const config = await job.config();
      assert.equal(config.exitCode, 2, `${what}: ${config.stdout}`);
      assert.match(config.stderr, /^ERROR: The directory ".*" (is not a directory|can be written)/, what);
      assert.equal(look(dataDir), before, what);
      job.remove();
    }
    assert.equal(existsSync(join(area, "nowhere")), false);
    const sticky = makeOpenDirectory(join(area, "data-sticky"), 0o1777);
    const job = place.job("setuid as root", { dataDir: sticky, auth: "root_dir_creation = true" });
    const { run } = await job.whole("echo passed");
    assert.equal(run.stdout, "passed\n", "a sticky parent will do");
    job.remove();
    assert.equal(look(ofRoot) + look(ofOther), precious);
  });

  it("stages that start meanwhile write, own and remove nothing outside", { timeout: 110_000 }, async () => {
    const base = join(user.home, ".jacamar-e2e-races");
    const job = place.job("setuid as root");
    await job.config();
    assert.equal((await job.prepare()).exitCode, 0);
    const [scripts, hidden, builds] = ["scriptsDir", "privateDir", "buildsDir"].map((name) => job.directoryOf(name));
    assert.ok(scripts !== undefined && hidden !== undefined && builds !== undefined);
    const paths = [base, `${base}/scripts`, `${base}/builds`, `${base}/cache`, `${base}/run`, builds, scripts, hidden];
    paths.push(`${scripts}/build_script.bash`, `${scripts}/build_script.bash.status`, `${hidden}/pipes`);
    paths.push(`${hidden}/running`, `${hidden}/sessions`, `${hidden}/prepared.json`, `${scripts}/auth.json`);
    const attackers = [startSwapping(user, ofRoot, paths), startSwapping(user, ofOther, paths)];
    const reader = startReader(racer, join(base, "scripts"));
    const codes = new Map<number | undefined, number>();
    let starts = 0;
    const until = Date.now() + 40_000;
    async function start(): Promise<void> {
      while (Date.now() < until) {
        for (const stage of [() => job.prepare(), () => job.run("build_script", "true", 20), () => job.cleanup()]) {
          const { exitCode, timedOut, stdout, stderr } = await stage();
          assert.equal(timedOut, false, "no FIFO in the place of a file holds a stage up");
          assert.ok(exitCode !== undefined && exitCode <= 2, stdout + stderr);
          codes.set(exitCode, (codes.get(exitCode) ?? 0) + 1);
          assert.equal(/internal error/.test(stdout + stderr), false, stdout + stderr);
          starts += 1;
        }
      }
    }
    await Promise.all([start(), start()]);
    let swaps = 0;
    for (const attacker of attackers) swaps += await attacker.stop();
    reader.killGroup("SIGKILL");
    assert.equal((await reader.done).stdout, "", "somebody else has read credentials");
    assert.ok(swaps >= rounds && starts >= 50, `${swaps} swaps, ${starts} stages`);
    assert.ok(codes.has(0) && codes.has(2), "the control: some stages pass, some are hindered");
    assert.equal(look(ofRoot) + look(ofOther), precious);
    job.remove();
  });

  it("a stranger who takes /tmp/jacamar-ci-UID first gets nothing put there", async () => {
    const taken = `/tmp/jacamar-ci-${racer.uid}`;
    const plants: readonly (() => void)[] = [
      () => plantDirectory(taken, other),
      () => plantLink(taken, ofOther, other),
      () => plantLink(taken, join(racer.home, "own"), other),
      () => writeFileSync(taken, ""),
    ];
    mkdirSync(join(racer.home, "own"), { mode: 0o700 });
    chownSync(join(racer.home, "own"), racer.uid, racer.gid);
    for (const plant of plants) {
      rmSync(taken, { recursive: true, force: true });
      plant();
      const before = look(taken);
      const options = { user: racer, image: "localhost/no-such-image", dataDir: "$HOME/.ci" };
      const job = place.job("setuid as root", options);
      await job.config();
      const prepare = await job.prepare();
      assert.notEqual(prepare.exitCode, 0, "there is no such image");
      assert.equal(look(taken), before);
      assert.deepEqual(readdirSync(join(racer.home, "own")), []);
      const status = lstatSync(join(racer.home, ".ci", "run"));
      assert.deepEqual({ uid: status.uid, mode: status.mode & 0o777 }, { uid: racer.uid, mode: 0o700 });
      await job.cleanup();
      job.remove();
    }
    rmSync(taken, { recursive: true, force: true });
    assert.equal(look(ofRoot) + look(ofOther), precious);
  });

  it("nobody else sees auth.json, also where data_dir is open to all", { timeout: 60_000 }, async () => {
    const dataDir = makeOpenDirectory(join(area, "open"), 0o1777);
    const options = { dataDir, image: "localhost/jacamar-demo:latest", auth: "root_dir_creation = true" };
    const credentials = '{"auths":{"registry.example.com":{"auth":"dXNlcjpwYXNz"}}}';
    const reader = startReader(racer, dataDir);
    for (let round = 0; round < 8; round += 1) {
      const job = place.job("setuid as root", { ...options, variables: { DOCKER_AUTH_CONFIG: credentials } });
      await job.config();
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      const file = join(job.directoryOf("scriptsDir"), "auth.json");
      assert.match(readFileSync(file, "utf8"), /dXNlcjpwYXNz/, "the control: it is there");
      assert.equal(lstatSync(file).mode & 0o777, 0o600);
      await job.cleanup();
      assert.equal(existsSync(file), false);
      job.remove();
    }
    reader.killGroup("SIGKILL");
    assert.equal((await reader.done).stdout, "");
  });

  function startSwapping(who: User, target: string, paths: readonly string[]): { stop(): Promise<number> } {
    const end = join(area, `stop-${Math.random()}`);
    const list = `${end}-paths`;
    writeFileSync(list, `${paths.join("\n")}\n`);
    const running = startAsUser(who, ["bash", "-c", swap, "-", target, end, list]);
    return {
      stop: async () => {
        writeFileSync(end, "");
        return Number((await running.done).stdout);
      },
    };
  }

  /** Prints whatever of a credentials file it can read, again and again. */
  function startReader(who: User, directory: string): Running {
    const loop = `while :; do cat "$1"/auth.json "$1"/*/auth.json "$1"/*/*/*/*/*/*/*/auth.json "$1"/*/*/*/*/*/auth.json; sleep 0.01; done 2> /dev/null`;
    return startAsUser(who, ["bash", "-c", loop, "-", directory]);
  }

  function plantLink(path: string, target: string, owner: User): void {
    symlinkSync(target, path);
    lchownSync(path, owner.uid, owner.gid);
  }

  function plantDirectory(path: string, owner: User): void {
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, owner.uid, owner.gid);
  }
});

/** Everything at and below a path, with owner, mode, time of change and content. */
function look(path: string): string {
  const status = lstatSync(path);
  const line = `${path} ${status.uid}:${status.gid} ${status.mode.toString(8)} ${status.ctimeMs}\n`;
  if (status.isFile()) return line + readFileSync(path, "utf8");
  if (!status.isDirectory()) return line;
  return (
    line +
    readdirSync(path)
      .toSorted()
      .map((name) => look(join(path, name)))
      .join("")
  );
}
