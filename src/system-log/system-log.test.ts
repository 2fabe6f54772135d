import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { DecisionEntry, DefectEntry } from "./entry.ts";
import { defaultLogging } from "./sink.ts";
import { writeEntry } from "./system-log.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-system-log-")));
after(() => rmSync(root, { recursive: true, force: true }));

const facts = { id: "5f0c2a9be114", message: "m", time: new Date("2026-11-24T03:49:35.962Z") };
const refused: DecisionEntry = { ...facts, kind: "refused", reasons: ["r"] };
const allowed: DecisionEntry = { ...facts, kind: "allowed", reasons: [] };
const defect: DefectEntry = { ...facts, kind: "defect", stack: "Error: s" };

describe("writeEntry()", () => {
  test("writes to the file that is set", async () => {
    const location = join(root, "file.log");
    assert.equal(await writeEntry({ ...defaultLogging, location }, refused), "written");
    assert.match(readFileSync(location, "utf8"), /^\{"time":"2026-11-24T03:49:35.962Z","level":"warning".*\}\n$/);
  });

  test("leaves out what is below the level", async () => {
    const kinds = { debug: "ard", info: "ard", warn: "rd", error: "d" } as const;
    for (const level of ["debug", "info", "warn", "error"] as const) {
      const location = join(root, `${level}.log`);
      const written = await Promise.all(
        [allowed, refused, defect].map((entry) => writeEntry({ ...defaultLogging, level, location }, entry)),
      );
      const letters = ["a", "r", "d"].filter((_, i) => written[i] === "written").join("");
      assert.equal(letters, kinds[level]);
      assert.equal(readFileSync(location, "utf8").split("\n").length - 1, letters.length);
    }
  });

  test("writes nothing when it is switched off", async () => {
    const location = join(root, "off.log");
    assert.equal(await writeEntry({ ...defaultLogging, location, enabled: false }, defect), "unwanted");
    assert.ok(!existsSync(location));
  });

  test("fails when the log cannot be written", async () => {
    for (const required of [true, undefined]) {
      const settings = { ...defaultLogging, location: join(root, "missing/x.log"), required };
      await assert.rejects(writeEntry(settings, allowed), {
        name: "JacamarError",
        code: "log_failed",
        message: /^Cannot write the system log: the directory ".*missing" is missing$/,
        hint: /^As root: mkdir .* No job runs without it, unless \[auth\.logging\] says otherwise\.$/,
      });
    }
  });

  test("goes on without a log only where the administrator says so", async () => {
    const settings = { ...defaultLogging, location: join(root, "missing/x.log"), required: false };
    assert.equal(await writeEntry(settings, allowed), "failed");
  });

  test("refuses settings that name no log, also those of a log that is not required or switched off", async () => {
    const settings = { ...defaultLogging, location: "nowhere", required: false };
    for (const enabled of [true, false]) {
      await assert.rejects(writeEntry({ ...settings, enabled }, allowed), { code: "config_invalid" });
    }
  });

  test("sends to the server that is set", async () => {
    let received = "";
    const server = createServer((socket) => socket.on("data", (chunk) => (received += chunk.toString())));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const settings = { ...defaultLogging, network: "tcp", address: `127.0.0.1:${address.port}` } as const;
    assert.equal(await writeEntry(settings, refused), "written");
    server.close();
    const [, length, message] = /^(\d+) (<84>1 2026-11-24T03:49:35\.962Z .*)$/.exec(received) ?? [];
    assert.equal(Number(length), message?.length);
    assert.match(message ?? "", /\{.*"id":"5f0c2a9be114".*\}$/);
  });

  test("takes the local syslog without settings", { skip: existsSync("/dev/log") && "there is one here" }, async () => {
    await assert.rejects(writeEntry(undefined, allowed), {
      code: "log_failed",
      message: /socket \/dev\/log: No such file or directory$/,
      hint: /listens at \/dev\/log\?/,
    });
  });
});
