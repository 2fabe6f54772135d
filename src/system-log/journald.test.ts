import assert from "node:assert/strict";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { asUser, type Running, startAsUser } from "../../test/harness/machine.ts";
import { longestLine } from "./entry.ts";
import { writeToJournald } from "./journald.ts";
import { writeToLocalSyslog } from "./local-syslog.ts";

const superuser = { name: "root", uid: 0, gid: 0, home: "/root" };
const program = ["/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"].find((path) => existsSync(path));
const none = (process.getuid?.() !== 0 || program === undefined) && "needs root and systemd-journald";
const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-journald-")));
after(() => rmSync(root, { recursive: true, force: true }));

describe("writeToJournald()", () => {
  let daemon: Running;
  let run: string;

  /** A journald with a /run of its own: it keeps its journal there, and reads neither the kernel's nor the audit log. */
  before(async () => {
    if (none !== false) return;
    const script = `mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/journald.conf.d /run/log/journal &&
      printf '[Journal]\\nStorage=volatile\\nAudit=no\\nReadKMsg=no\\n' >/run/systemd/journald.conf.d/test.conf &&
      exec "$0"`;
    daemon = startAsUser(superuser, ["unshare", "--mount", "sh", "-c", script, program ?? ""]);
    run = `/proc/${daemon.pid}/root/run`;
    for (let i = 0; i < 100 && !existsSync(`${run}/systemd/journal/stdout`); i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  after(async () => {
    if (none !== false) return;
    daemon.kill("SIGKILL");
    await daemon.done;
  });

  async function journal(): Promise<Record<string, unknown>[]> {
    const argv = ["journalctl", "-D", `${run}/log/journal`, "-o", "json", "--all", "SYSLOG_IDENTIFIER=jacamar"];
    const { stdout, stderr, exitCode } = await asUser(superuser, argv);
    assert.equal(exitCode, 0, stderr);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const entry: unknown = JSON.parse(line);
        assert.ok(typeof entry === "object" && entry !== null);
        return { ...entry };
      });
  }

  test("gives a real journald the line", { skip: none }, async () => {
    const priorities = { debug: "7", info: "6", warn: "4", error: "3" } as const;
    for (const level of ["debug", "info", "warn", "error"] as const) {
      // The start would make it an emergency, were it read as a priority.
      const line = `<0>${JSON.stringify({ level })}`;
      await writeToJournald(line, level, { socket: `${run}/systemd/journal/stdout` });
      // journald has the line when the call returns; on a busy machine its reader may see it a little later.
      let entry = (await journal()).at(-1);
      for (let look = 0; look < 1200 && entry?.["MESSAGE"] !== line; look += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        entry = (await journal()).at(-1);
      }
      assert.equal(entry?.["MESSAGE"], line);
      assert.equal(entry["PRIORITY"], priorities[level]);
      assert.equal(entry["SYSLOG_FACILITY"], "10");
      assert.equal(entry["_PID"], `${process.pid}`);
    }
  });

  test("keeps the longest line whole, also through logger and journald's syslog socket", { skip: none }, async () => {
    const line = JSON.stringify({ fill: "x".repeat(longestLine - 11) });
    assert.equal(line.length, longestLine);
    await writeToJournald(line, "info", { socket: `${run}/systemd/journal/stdout` });
    assert.equal((await journal()).at(-1)?.["MESSAGE"], line);
    const other = line.replaceAll("x", "y");
    await writeToLocalSyslog(other, "info", { socket: `${run}/systemd/journal/dev-log` });
    let found: unknown;
    for (let i = 0; i < 50 && found !== other; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      found = (await journal()).at(-1)?.["MESSAGE"];
    }
    assert.equal(found, other);
  });

  test("fails when journald hangs", { skip: none }, async () => {
    daemon.kill("SIGSTOP");
    try {
      await assert.rejects(
        writeToJournald("x", "info", { socket: `${run}/systemd/journal/stdout`, timeoutSeconds: 0.5 }),
        { message: /stdout did not take the entry within 0\.5 s$/ },
      );
    } finally {
      daemon.kill("SIGCONT");
    }
  });

  test("speaks journald's protocol to a stand-in, where there is no journald to test with", {
    skip: none === false && "there is a real journald",
  }, async () => {
    const path = join(root, "stdout");
    let received = "";
    const server = createServer((socket) => socket.on("data", (chunk) => (received += chunk.toString())));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await writeToJournald('{"a":1}', "warn", { socket: path });
    server.close();
    assert.equal(received, 'jacamar\n\n84\n0\n0\n0\n0\n{"a":1}\n');
  });

  test("fails where there is no journald", async () => {
    await assert.rejects(writeToJournald("x", "info", { socket: join(root, "missing") }), {
      message: /missing: ENOENT$/,
    });
  });
});
