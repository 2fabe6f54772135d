import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { type Browser, type Page, picturePath, startBrowser, type View } from "../../harness/browser.ts";
import { asUser, startAsUser, testUser } from "../../harness/machine.ts";
import { recordLines } from "../../harness/record-lines.ts";
import { type AnyJob, Jobs } from "../stopping/jobs.ts";

/** Names that would be markup, script or the end of the data, were they taken for anything but text. */
const hostile = [
  `<img src=x onerror="document.title='owned'">`,
  `</script><script>document.title="owned"</script>`,
  `<!--<script>`,
  `"}],"__proto__":{"polluted":true},"x":[{"`,
  `\u202Egnp.exe\u2028\u0007`,
  `javascript:document.title='owned'`,
  "<b>long</b>".repeat(40),
];

const desktop: View = { width: 1280, height: 900, colours: "light" };
const views: readonly (readonly [string, View])[] = [
  ["light", desktop],
  ["dark", { ...desktop, colours: "dark" }],
  ["phone", { width: 390, height: 800, colours: "light" }],
];

let jobs: Jobs;
let browser: Browser;
let directory: string;
before(async () => {
  jobs = new Jobs("report");
  directory = mkdtempSync("/var/tmp/jacamar-e2e-report-");
  jobs.give(directory);
  browser = await startBrowser();
});
after(async () => {
  await browser.close();
  await jobs.close();
  rmSync(directory, { recursive: true, force: true });
});

function write(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  jobs.give(path);
  return path;
}

function made(count: number): string {
  const lines = recordLines({
    count,
    projects: [...hostile, "group/demo"],
    images: [...hostile, "debian:12"],
    text: hostile[1] ?? "",
  });
  return [...lines].map((line) => `${line}\n`).join("");
}

async function report(output: string, ...args: readonly string[]): Promise<string> {
  const path = join(directory, output);
  const ended = await asUser(testUser(), [jobs.stage.jacamar, "report", "--output", path, ...args]);
  assert.equal(ended.exitCode, 0, ended.stderr);
  return path;
}

/** What must hold of the page in every view. */
async function assertSound(page: Page, path: string): Promise<void> {
  assert.deepEqual(page.complaints, []);
  assert.deepEqual(page.requests, [`file://${path}`]);
  assert.equal(await page.evaluate("document.title"), "CI jobs");
  assert.equal(await page.evaluate("({}).polluted === undefined"), true);
  const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  assert.equal(await page.evaluate(overflow), 0);
  assert.match(String(await page.evaluate("document.documentElement.dataset.ready")), /^[0-9]+$/);
}

describe("the page of jacamar report", () => {
  for (const [name, view] of views) {
    it(`shows everything as text, asks for nothing, and fits: ${name}`, async () => {
      const path = await report(`${name}.html`, write(`${name}.jsonl`, made(400)));
      const page = await browser.open(path, view);
      await assertSound(page, path);
      const text = String(await page.evaluate("document.body.innerText"));
      assert.match(text, /400 jobs, 25 Oct 2026/);
      for (const title of [
        "Jobs over time",
        "Queue time",
        "Overhead",
        "Where the time goes",
        "Failures",
        "Images",
        "Users",
        "Executors",
      ]) {
        assert.ok(text.includes(title), title);
      }
      const cells = 'JSON.stringify([...document.querySelectorAll("tbody th")].map((cell) => cell.textContent))';
      const shown = String(await page.evaluate(cells));
      for (const project of hostile.slice(0, 4))
        assert.ok(shown.includes(JSON.stringify(project).slice(1, -1)), project);
      // Charts are painted: there is something on each.
      const canvases = `[...document.querySelectorAll("canvas")].map((canvas) =>
        new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)`;
      const colours = await page.evaluate(canvases);
      assert.ok(Array.isArray(colours) && colours.length === 3 && colours.every((count) => count > 3), String(colours));
      const picture = picturePath(`report-${name}.png`);
      if (picture !== undefined) await page.screenshot(picture);
      await page.close();
    });
  }

  it("has other colours in the dark", async () => {
    const path = await report("colours.html", write("colours.jsonl", made(50)));
    const colours: unknown[] = [];
    for (const [, view] of views.slice(0, 2)) {
      const page = await browser.open(path, view);
      colours.push(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
      await page.close();
    }
    assert.notEqual(colours[0], colours[1]);
  });

  it("runs no script but its own", async () => {
    const path = await report("policy.html", write("policy.jsonl", made(20)));
    const page = await browser.open(path, desktop);
    await page.evaluate(`{
      const script = document.createElement("script");
      try { script.textContent = "document.title = 'owned'"; document.body.append(script); } catch {}
      try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=document.title='owned'>"); } catch {}
      const link = document.createElement("img");
      link.src = "https://example.com/x.png";
      document.body.append(link);
    }`);
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))");
    assert.equal(await page.evaluate("document.title"), "CI jobs");
    assert.ok(
      page.complaints.some((complaint) => complaint.includes("Content Security Policy")),
      page.complaints.join(),
    );
    await page.close();
  });

  it("can be filtered, sorted, and asked for a single job", async () => {
    const path = await report("use.html", write("use.jsonl", made(300)));
    const page = await browser.open(path, desktop);
    const jobsTile = 'document.querySelector(".tiles strong").textContent';
    assert.equal(await page.evaluate(jobsTile), "300");
    await page.evaluate(`{
      const select = [...document.querySelectorAll(".filters label")].find((label) => label.textContent.startsWith("Outcome")).querySelector("select");
      select.value = "2";
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }`);
    const errors = Number(await page.evaluate(jobsTile));
    assert.ok(errors > 0 && errors < 60, String(errors));
    const code = String(
      await page.evaluate('[...document.querySelectorAll("section code")].map((each) => each.textContent).join()'),
    );
    assert.equal(code.split(",").toSorted().join(), "disk_full,image_pull_failed");
    // An example leads to the job.
    const example = String(
      await page.evaluate('{ const link = document.querySelector("button.link"); link.click(); link.textContent }'),
    );
    assert.match(
      String(await page.evaluate('document.querySelector("#job h3").textContent')),
      new RegExp(`^Job ${example} `),
    );
    const stages = await page.evaluate('document.querySelectorAll("#job .stage").length');
    assert.equal(stages, 3);
    // Another one is found by its number.
    await page.evaluate(`{
      const search = document.getElementById("search");
      search.value = "100123";
      search.dispatchEvent(new Event("input", { bubbles: true }));
      document.querySelector("#job .found button").click();
    }`);
    assert.match(String(await page.evaluate('document.querySelector("#job h3").textContent')), /^Job 100123 /);
    const head = 'document.querySelectorAll("#job thead button")[3]';
    await page.evaluate(`document.querySelector("#job details").open = true; ${head}.click()`);
    assert.equal(await page.evaluate(`${head}.parentElement.getAttribute("aria-sort")`), "descending");
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  it("is made of what real jobs have left, rotated and compressed files too", async () => {
    const record = join(directory, "real.jsonl");
    const podman = `[record]\nlocation = ${JSON.stringify(record)}`;
    const all: AnyJob[] = [];
    for (const script of ["true", "exit 3"]) {
      const job = jobs.job({ podman });
      await job.whole(script);
      all.push(job);
    }
    const zipped = write("old.jsonl.gz", gzipSync(made(10)));
    const path = await report("real.html", record, zipped);
    const page = await browser.open(path, desktop);
    await assertSound(page, path);
    assert.equal(await page.evaluate('document.querySelector(".tiles strong").textContent'), "12");
    // The newest failed one is shown first.
    const title = String(await page.evaluate('document.querySelector("#job h3").textContent'));
    assert.equal(title, `Job ${all[1]?.id} test`);
    const names = await page.evaluate(
      '[...document.querySelectorAll("#job .stage .name")].map((name) => name.textContent)',
    );
    assert.deepEqual(names, ["config", "prepare", "build_script", "cleanup"]);
    await page.close();
  });

  it("goes to standard output, and leaves out what it is told to", async () => {
    const record = write("some.jsonl", made(100));
    const ended = await asUser(testUser(), [
      jobs.stage.jacamar,
      "report",
      "--since",
      "2026-11-15",
      "--job",
      "424242",
      "--output",
      "-",
      record,
    ]);
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.equal(ended.stderr, "WARNING: The files have no job 424242\n");
    const count = Number(/"count":([0-9]+)/.exec(ended.stdout)?.[1]);
    assert.ok(count > 20 && count < 40, String(count));
    const empty = await asUser(testUser(), [
      jobs.stage.jacamar,
      "report",
      "--output",
      "/var/tmp/x.html",
      "/etc/passwd",
    ]);
    assert.equal(empty.exitCode, 2);
    assert.match(empty.stderr, /There is no job in these files/);
    assert.ok(!empty.stderr.includes("root:"));
  });

  it("believes a user's own file only about that user", async () => {
    const lines = made(10);
    const record = write(
      "own.jsonl",
      lines.replaceAll('"account":"alice"', `"account":"${jobs.user.name}"`) + lines.replaceAll("100", "200"),
    );
    const path = await report("own.html", "--own", record);
    const text = readFileSync(path, "utf8");
    assert.match(text, /"count":10,/);
    assert.match(text, /"forgedLines":[1-9]/);
  });

  // Some devices begin to work when they are opened (/dev/watchdog restarts the machine), and a user may leave a link to one.
  it("opens nothing where a user's own file should be but a regular file", async () => {
    const pipe = join(directory, "pipe");
    const link = join(directory, "link.jsonl");
    assert.equal((await jobs.asUser(["sh", "-c", 'mkfifo "$1" && ln -s "$1" "$2"', "-", pipe, link])).exitCode, 0);
    // Who opens a pipe to write to it waits for somebody who opens it to read.
    const script = 'echo waits; exec 3>"$1"; echo opened';
    const writer = startAsUser(jobs.user, ["sh", "-c", script, "-", pipe]);
    await writer.until("waits", 30);
    for (const path of [link, pipe]) {
      const argv = [jobs.stage.jacamar, "report", "--own", "--output", join(directory, "none.html"), path];
      const { exitCode, stderr } = await asUser(jobs.user, argv, { cwd: directory });
      assert.equal(exitCode, 2, stderr);
      assert.equal(writer.stdout(), "waits\n", path);
    }
    const control = await jobs.asUser(["sh", "-c", 'exec 3<"$1"', "-", pipe]);
    assert.equal(control.exitCode, 0);
    assert.equal((await writer.done).stdout, "waits\nopened\n", "the control: it was waiting");
  });
});
