import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Running, startAsUser } from "../../test/harness/machine.ts";
import { writeToLocalSyslog } from "./local-syslog.ts";

const notRoot = process.getuid?.() !== 0 && "only root can give a syslog daemon a /dev of its own";
const superuser = { name: "root", uid: 0, gid: 0, home: "/root" };
const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-syslog-")));
after(() => rmSync(root, { recursive: true, force: true }));

/** Waits until a text stands in a file. */
async function until(path: string, text: string): Promise<string> {
  for (let attempt = 0; attempt < 1200; attempt += 1) {
    const found = readFileSync(path, { encoding: "utf8", flag: "a+" });
    if (found.includes(text)) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${text} is not in ${path}`);
}

describe("writeToLocalSyslog()", () => {
  let daemon: Running;
  let socket: string;
  const messages = join(root, "messages");

  /** busybox's daemon always listens at /dev/log, so it gets a /dev of its own. */
  async function start(): Promise<void> {
    const script = `mount -t tmpfs -o mode=755 tmpfs /dev && mknod /dev/null c 1 3 && exec busybox syslogd -n -O "$0"`;
    daemon = startAsUser(superuser, ["unshare", "--mount", "sh", "-c", script, messages]);
    socket = `/proc/${daemon.pid}/root/dev/log`;
    await until(messages, "syslogd started");
  }

  before(async () => {
    if (notRoot === false) await start();
  });
  after(async () => {
    if (notRoot !== false) return;
    daemon.kill("SIGKILL");
    await daemon.done;
  });

  test("gives a real daemon the line, with facility, level, tag and our number", { skip: notRoot }, async () => {
    // The names are busybox's.
    const levels = { debug: "debug", info: "info", warn: "warn", error: "err" } as const;
    for (const level of ["debug", "info", "warn", "error"] as const) {
      const line = JSON.stringify({ level, msg: "a 'b' \"c\" $(id) `id` %s \\n -- x", fill: "x".repeat(600) });
      await writeToLocalSyslog(line, level, { socket });
      const found = await until(messages, `${line}\n`);
      assert.ok(found.endsWith(` authpriv.${levels[level]} jacamar[${process.pid}]: ${line}\n`), found.slice(-900));
    }
  });

  test("takes a line that looks like an option or a priority", { skip: notRoot }, async () => {
    for (const line of ["--help", "<0>emergency", "-n evil.example.com"]) {
      await writeToLocalSyslog(line, "info", { socket });
      assert.match(await until(messages, `]: ${line}\n`), /authpriv\.info/);
    }
  });

  test("fails when a daemon hangs, once its queue is full", { skip: notRoot }, async () => {
    daemon.kill("SIGSTOP");
    try {
      let started = 0;
      await assert.rejects(
        async () => {
          for (let i = 0; i < 3000; i += 1) {
            started = performance.now();
            await writeToLocalSyslog(`{"i":${i}}`, "info", { socket, timeoutSeconds: 1 });
          }
        },
        { message: "the syslog daemon did not take the entry within 1 s" },
      );
      const milliseconds = performance.now() - started;
      assert.ok(milliseconds >= 990, `${milliseconds}`);
    } finally {
      daemon.kill("SIGCONT");
    }
  });

  test("fails when the daemon is gone and left its socket, and when there never was one", {
    skip: notRoot,
  }, async () => {
    const script = "echo ready; exec sleep 60";
    // A second name for the same directory outlives the daemon's.
    const holder = startAsUser(superuser, ["nsenter", `--mount=/proc/${daemon.pid}/ns/mnt`, "sh", "-c", script]);
    await holder.until("ready");
    daemon.kill("SIGKILL");
    await daemon.done;
    const left = `/proc/${holder.pid}/root/dev/log`;
    await assert.rejects(writeToLocalSyslog("x", "info", { socket: left }), {
      message: /Connection refused$/,
      hint: /Is there a syslog daemon that listens at/,
    });
    holder.kill("SIGKILL");
    await holder.done;
    await start();
  });

  test("fails when there is no socket", async () => {
    await assert.rejects(writeToLocalSyslog("x", "info", { socket: join(root, "missing") }), {
      message: /missing: No such file or directory$/,
    });
  });
});
