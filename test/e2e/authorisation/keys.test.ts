import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestJob } from "../../harness/job.ts";
import { type Ended, otherUser, testUser, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";
import {
  type DoorJob,
  doors,
  makeAccount,
  makeOpenDirectory,
  makePlace,
  type Place,
  removeAccount,
  skip,
} from "./support/place.ts";

const user = testUser();
const other = otherUser() ?? user;
const refusedLine = /^ERROR: This job may not run here \(id ([0-9a-f]{12})\)\n {2}The administrators find the reason/;

describe("the keys of [auth]", { skip }, () => {
  let place: Place;
  let shared: string;
  /** Below /opt, since a RunAs script may not lie where others can write. */
  let etc: string;
  before(async () => {
    place = await makePlace("keys");
    shared = makeOpenDirectory("/var/tmp/jacamar-e2e-keys", 0o755);
    etc = mkdtempSync("/opt/jacamar-e2e-keys-");
    chmodSync(etc, 0o755);
  });
  after(async () => {
    await place.remove();
    for (const path of [shared, etc]) rmSync(path, { recursive: true, force: true });
  });

  describe("root_dir_creation", () => {
    const path = () => join(shared, user.name);

    it("off: a directory that the user cannot make stops the job in prepare", async () => {
      const { config, prepare } = await whole({ dataDir: shared });
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(prepare.exitCode, 2);
      assert.match(prepare.stdout + prepare.stderr, /Cannot make ".*jacamar-e2e-keys\/jacamar-test": EACCES/);
    });

    it("on: root makes it, 0700 and the user's, and the user everything below it", async () => {
      const { config, run } = await whole({ dataDir: shared, auth: "root_dir_creation = true" }, "pwd -P");
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(run.exitCode, 0, run.stdout + run.stderr);
      const { uid, gid, mode } = statSync(path());
      assert.deepEqual({ uid, gid, mode: mode & 0o7777 }, { uid: user.uid, gid: user.gid, mode: 0o700 });
      assert.equal(statSync(join(path(), "builds")).uid, user.uid);
    });

    it("on, as a service account: refused, with the reason", async () => {
      const auth = "root_dir_creation = true";
      const { config } = await whole({ dataDir: shared, auth }, "true", "setuid with capabilities");
      assert.equal(config.exitCode, 2);
      assert.match(config.stderr, /root_dir_creation needs root/);
    });
  });

  it("downscope_env reaches the user's login, by every door", async () => {
    for (const door of doors) {
      const auth = 'downscope_env = ["SITE_SCRATCH=/scratch/of this site", "EMPTY="]';
      const { run } = await whole({ auth }, 'echo "$SITE_SCRATCH,${EMPTY-unset}"', door);
      assert.equal(run.stdout, "/scratch/of this site,\n", door);
    }
    const { run } = await whole({}, 'echo "${SITE_SCRATCH-unset}"');
    assert.equal(run.stdout, "unset\n");
  });

  it("no_new_privs: a setuid program gains nothing, and it is refused with Podman", async () => {
    const setuid = join(place.stage.directory, "setuid-id");
    copyFileSync("/usr/bin/id", setuid);
    chmodSync(setuid, 0o4755);
    const body = `${setuid} -u; grep NoNewPrivs /proc/self/status`;
    for (const door of doors) {
      const off = await whole({ mechanism: "none" }, body, door);
      assert.match(off.run.stdout, /^0\nNoNewPrivs:\t0\n/, `${door}: ${off.run.stderr}`);
      const on = await whole({ mechanism: "none", auth: "no_new_privs = true" }, body, door);
      assert.match(on.run.stdout, new RegExp(`^${user.uid}\nNoNewPrivs:\t1\n`), `${door}: ${on.run.stderr}`);
    }
    const { config } = await whole({ auth: "no_new_privs = true" });
    assert.equal(config.exitCode, 2);
    assert.match(config.stderr, /no_new_privs and run_mechanism = "podman" exclude each other\n.*newuidmap/);
    const batch = await whole({ auth: "no_new_privs = true", mechanism: "none", executor: "slurm" });
    assert.equal(batch.config.exitCode, 2);
    assert.match(batch.config.stderr, /no_new_privs and executor = "slurm" exclude each other/);
  });

  it("max_env_chars: a variable that is longer refuses the job, one that just fits does not", async () => {
    const auth = "max_env_chars = 2000";
    const fits = await whole({ auth, variables: { LONG: "é".repeat(2000) } });
    assert.equal(fits.config.exitCode, 0, fits.config.stderr);
    const { config } = await whole({ auth, variables: { LONG: "é".repeat(2001) } });
    assert.equal(config.exitCode, 1);
    assert.match(config.stderr, /^ERROR: The CI variable LONG has 2001 characters; at most 2000 are allowed here/);
  });

  describe("lists", () => {
    const rows: readonly (readonly [auth: string, allowed: boolean])[] = [
      [`user_allowlist = ["${user.name}"]`, true],
      [`user_allowlist = ["${other.name}"]`, false],
      ["user_allowlist = []", false],
      [`user_blocklist = ["${user.name}"]`, false],
      [`user_blocklist = ["${other.name}"]`, true],
      [`groups_allowlist = ["${user.name}"]`, true],
      [`groups_allowlist = ["root"]`, false],
      [`groups_blocklist = ["${user.name}"]`, false],
      [`user_allowlist = ["${user.name}"]\ngroups_blocklist = ["${user.name}"]`, true],
      [`user_allowlist = ["${user.name}"]\nuser_blocklist = ["${user.name}"]`, false],
      ['shell_allowlist = ["/bin/bash"]', true],
      ['shell_allowlist = ["/bin/zsh"]', false],
      ['pipeline_source_allowlist = ["push", "web"]', true],
      ['pipeline_source_allowlist = ["schedule"]', false],
      ["pipeline_source_allowlist = []", false],
    ];
    for (const [auth, allowed] of rows) {
      it(`${auth.replaceAll("\n", ", ")}: ${allowed ? "allowed" : "refused"}`, async () => {
        const job = place.job("setuid as root", { auth });
        const config = await job.config();
        assert.equal(config.exitCode, allowed ? 0 : 1, config.stderr);
        if (!allowed) assert.match(config.stderr, refusedLine);
        job.remove();
      });
    }
  });

  describe("runas", () => {
    it("maps to another account, which the job then runs as, and shows its message", async () => {
      const script = runAs(
        "map",
        `printf '{"username": "%s", "user_message": "You run as %s."}' "$RUNAS_TARGET_USER" "$RUNAS_TARGET_USER"`,
      );
      for (const door of doors) {
        const options = {
          auth: `[auth.runas]\nvalidation_script = "${script}"\nuser_variable = "RUN_AS"`,
          variables: { RUN_AS: other.name },
          dataDir: "$HOME/.jacamar-e2e-keys",
        };
        const { config, prepare, run } = await whole(options, "id -un; echo $HOME", door);
        assert.equal(config.exitCode, 0, config.stderr);
        assert.match(config.stderr, new RegExp(`You run as ${other.name}\\.`));
        assert.equal(run.stdout, `${other.name}\n${other.home}\n`, prepare.stdout + run.stderr);
      }
      rmSync(`${other.home}/.jacamar-e2e-keys`, { recursive: true, force: true });
    });

    it("refuses with its message, when it ends with another code than 0", async () => {
      const script = runAs("refuse", `echo '{"user_message": "Ask your group leader."}'; exit 3`);
      const { config } = await whole({ auth: `[auth.runas]\nvalidation_script = "${script}"` });
      assert.equal(config.exitCode, 1);
      assert.match(config.stderr, /Ask your group leader\./);
      assert.match(config.stderr, /ERROR: This job may not run here \(id/);
    });

    it("never maps to root, a system account, an unknown one, or a name that is none", async () => {
      for (const name of ["root", "daemon", "nobody-knows", "0", "-u", "../etc", `${user.name} `, place.service.name]) {
        const script = runAs("wild", `printf '%s' '${JSON.stringify({ username: name })}'`);
        const { config } = await whole({ auth: `[auth.runas]\nvalidation_script = "${script}"` });
        assert.equal(config.exitCode, 1, `${name}: ${config.stderr}`);
        assert.match(config.stderr, refusedLine, name);
      }
    });

    it("is not run when it is not the file of sha256, or somebody else could write it or swap it", async () => {
      const ran = join(shared, "ran");
      const body = `touch ${ran}; printf '{"username": "${user.name}"}'`;
      const script = runAs("sum", body);
      const sum = createHash("sha256").update(readFileSync(script)).digest("hex");
      const wanted = (sha256: string) => `[auth.runas]\nvalidation_script = "${script}"\nsha256 = "${sha256}"`;
      const right = await whole({ auth: wanted(sum) });
      assert.equal(right.config.exitCode, 0, right.config.stderr);
      rmSync(ran);
      const unsafe: readonly (readonly [string, () => void, string])[] = [
        ["another sum", () => undefined, "0".repeat(64)],
        ["writable by the group", () => chmodSync(script, 0o775), sum],
        ["another's", () => chownSync(script, user.uid, 0), sum],
        ["a parent that all can write", () => chmodSync(etc, 0o777), sum],
      ];
      for (const [what, spoil, sha256] of unsafe) {
        spoil();
        const { config } = await whole({ auth: wanted(sha256) });
        chmodSync(etc, 0o755);
        chownSync(script, 0, 0);
        chmodSync(script, 0o755);
        assert.equal(config.exitCode, 2, `${what}: ${config.stderr}`);
        assert.throws(() => statSync(ran), { code: "ENOENT" }, what);
      }
    });

    function runAs(name: string, body: string): string {
      const path = join(etc, name);
      writeFileSync(path, `#!/bin/sh\n${body}\n`);
      chmodSync(path, 0o755);
      return path;
    }
  });

  it("jwt_required_aud: the token must name the audience", async () => {
    const auth = 'jwt_required_aud = "https://cluster.example.com"';
    const wrong = await whole({ auth });
    assert.match(wrong.config.stderr, refusedLine);
    const right = await whole({ auth, claims: { aud: ["https://a.example.com", "https://cluster.example.com"] } });
    assert.equal(right.config.exitCode, 0, right.config.stderr);
  });

  it("a job without a token is told the lines to add", async () => {
    const { config } = await whole({ withoutToken: true, auth: 'jwt_required_aud = "https://cluster.example.com"' });
    assert.equal(config.exitCode, 1);
    assert.ok(
      config.stderr.includes(
        'job:\n    id_tokens:\n      SITE_ID_TOKEN:\n        aud: "https://cluster.example.com"\n',
      ) || /id_tokens:\n\s+SITE_ID_TOKEN:\n\s+aud: "?https:\/\/cluster\.example\.com"?\n/.test(config.stderr),
      config.stderr,
    );
  });

  it("-u shows the reason in the job log", async () => {
    const { config } = await whole({ unobfuscated: true, auth: `user_blocklist = ["${user.name}"]` });
    assert.equal(config.exitCode, 1);
    assert.match(config.stderr, /^ERROR: This job may not run here \(id [0-9a-f]{12}\): .*user_blocklist/);
  });

  describe("logging to a file", () => {
    it("has an entry for each decision, found by the id of the job log, and nothing secret", async () => {
      const log = join(place.stage.directory, "decisions.log");
      const logging = `location = "${log}"`;
      const allowed = await whole({ logging });
      assert.equal(allowed.config.exitCode, 0, allowed.config.stderr);
      const refused = await whole({ logging, auth: `user_blocklist = ["${user.name}"]` });
      const [, id] = refusedLine.exec(refused.config.stderr) ?? [];
      const text = readFileSync(log, "utf8");
      const lines = text.trimEnd().split("\n");
      assert.equal(lines.length, 2);
      for (const line of lines) JSON.parse(line);
      assert.match(lines[0] ?? "", new RegExp(`"decision":"allowed".*"account":"${user.name}"`));
      assert.match(lines[1] ?? "", new RegExp(`"id":"${id}","decision":"refused".*user_blocklist`));
      assert.equal(/eyJ|glcbt-|must-not-reach/.test(text), false, "no token, no secret");
      assert.equal(statSync(log).mode & 0o777, 0o640);
    });

    it("that cannot be written stops the job, unless required = false", async () => {
      const logging = `location = "${join(place.stage.directory, "missing", "decisions.log")}"`;
      const { config, prepare } = await whole({ logging });
      assert.equal(config.exitCode, 2);
      assert.match(config.stderr, /^ERROR: Cannot write the system log: the directory ".*missing" is missing/);
      assert.equal(prepare.exitCode, 2);
      const optional = await whole({ logging: `${logging}\nrequired = false` });
      assert.equal(optional.config.exitCode, 0, optional.config.stderr);
      assert.equal(optional.run.exitCode, 0, optional.run.stdout);
    });
  });

  describe("logging to a server", () => {
    it("over TCP has each decision before the job goes on, and no job runs when it is not there", async () => {
      const received: string[] = [];
      const server = createServer((socket) => {
        let text = "";
        socket.setEncoding("utf8");
        socket.on("data", (chunk: string) => {
          text += chunk;
        });
        socket.on("end", () => {
          received.push(text);
          socket.end();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      assert.ok(typeof address === "object" && address !== null);
      const logging = `network = "tcp"\naddress = "127.0.0.1:${address.port}"`;
      const { config } = await whole({ logging });
      assert.equal(config.exitCode, 0, config.stderr);
      assert.match(received[0] ?? "", /^\d+ <86>1 \S+ \S+ jacamar \d+ - - \{.*"decision":"allowed".*\}$/);
      await new Promise((resolve) => server.close(resolve));
      const away = await whole({ logging });
      assert.equal(away.config.exitCode, 2);
      assert.match(
        away.config.stderr,
        /^ERROR: Cannot write the system log: 127\.0\.0\.1, port \d+: nobody listens there/,
      );
    });
  });

  it("the runner's own account is never a job's, nor one below UID_MIN", async () => {
    const { config } = await whole({ login: place.service.name }, "true", "setuid with capabilities");
    assert.match(config.stderr, refusedLine);
    const daemon = await whole({ login: "daemon" });
    assert.match(daemon.config.stderr, refusedLine);
  });

  describe("an account with an odd home", () => {
    const inHome = { dataDir: "$HOME/ci", mechanism: "none" } as const;
    const outside = { dataDir: "", auth: "root_dir_creation = true", mechanism: "none" } as const;

    for (const [what, home, refusal] of [
      ["that is missing", "/nonexistent/home", /^ERROR: Cannot make "\/nonexistent/],
      ["that is /", "/", /^ERROR: Cannot make "\/ci": EACCES/],
      ["that is somebody else's", other.home, /^ERROR: The directory ".*" belongs to the account number/],
      ["that is root's", "/root", /^ERROR: Cannot make "\/root\/ci": EACCES/],
    ] as const) {
      it(`${what} runs in data_dir, and nothing is made in such a home`, async () => {
        const account: User = makeAccount("jacamar-e2e-home", ["--no-create-home", "--home-dir", home]);
        try {
          const { run, config } = await whole({ ...outside, user: account, dataDir: shared }, "id -un; pwd");
          assert.equal(config.exitCode, 0, config.stderr);
          assert.match(run.stdout, /^jacamar-e2e-home\n/, run.stdout + run.stderr);
          const refused = await whole({ ...inHome, user: account });
          assert.equal(refused.prepare.exitCode, 2, refused.prepare.stdout);
          assert.match(refused.prepare.stderr, refusal);
          assert.throws(() => statSync(join(home, "ci")), { code: "ENOENT" });
        } finally {
          rmSync(join(shared, "jacamar-e2e-home"), { recursive: true, force: true });
          removeAccount(account);
        }
      });
    }
  });

  describe('downscope = "none"', () => {
    // With capabilities, the program is closed to all but the service account.
    let programs: Stage;
    before(() => {
      programs = stageBundle();
    });
    after(() => programs.remove());

    const none = (account: User, login: string, auth = ""): TestJob => {
      const id = Math.floor(Math.random() * 1e9) + 1;
      return new TestJob({
        user: account,
        before: [],
        id,
        jacamar: `${programs.jacamar}-auth`,
        variables: { SITE_ID_TOKEN: place.gitlab.sign({ jobId: id, login }) },
        configuration: `[general]\nexecutor = "shell"\ndata_dir = "$HOME/.ci"\ngitlab_server = "${place.gitlab.url}"
jwt_env_variable = "SITE_ID_TOKEN"\n[auth]\ndownscope = "none"\n${auth}\n[auth.logging]\nenabled = false\n`,
      });
    };

    it("runs the jobs of the account that calls, and nobody else's, without what that account left open", async () => {
      const leaking = join(programs.directory, "leaking");
      writeFileSync(leaking, `#!/bin/bash\nexec 77</etc/hostname\nexec "$@"\n`, { mode: 0o755 });
      const job = none(other, other.name);
      assert.equal((await job.config()).exitCode, 0);
      assert.equal((await job.prepare()).exitCode, 0);
      const run = await job.start("build_script", "id -un; cat <&77 || true", [leaking]).done;
      assert.equal(run.stdout, `${other.name}\n`);
      assert.match(run.stderr, /77: Bad file descriptor/);
      await job.cleanup();
      job.remove();
      const strangers = none(other, user.name);
      const config = await strangers.config();
      assert.match(config.stderr, refusedLine);
      strangers.remove();
      rmSync(join(other.home, ".ci"), { recursive: true, force: true });
    });

    it("puts the jobs under the filter on system calls", async () => {
      const job = none(other, other.name, 'no_new_privs = true\n[auth.seccomp]\nblock_calls = ["unshare"]');
      const { config, prepare, run } = await job.whole("unshare --user true || grep ^Seccomp: /proc/self/status");
      assert.deepEqual([config.exitCode, prepare.exitCode], [0, 0], config.stderr + prepare.stderr);
      assert.match(run.stdout, /^Seccomp:\t2\n$/);
      job.remove();
      rmSync(join(other.home, ".ci"), { recursive: true, force: true });
    });
  });

  async function whole(
    options: DoorJob,
    body = "true",
    door: (typeof doors)[number] = "setuid as root",
  ): Promise<Record<"config" | "prepare" | "run" | "cleanup", Ended>> {
    const job = place.job(door, options);
    try {
      return await job.whole(body);
    } finally {
      job.remove();
    }
  }
});
