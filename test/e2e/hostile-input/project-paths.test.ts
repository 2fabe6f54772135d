import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { filesBelow } from "../../harness/snapshot.ts";
import { Jobs, logOf } from "../stopping/jobs.ts";
import { tracesAfter } from "../stopping/traces.ts";
import { assertOneMessage } from "./one-message.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("project-paths");
});
after(() => jobs.close());

const host = "https://gitlab-ci-token:secret@gitlab.example.com";
/** Path of the repository, and where the work tree is then. */
const paths: Readonly<Record<string, string>> = {
  "/group/sub/demo.git": "group/sub/demo",
  "/gr%20oup/d%C3%A9mo%20%E2%98%83.git": "gr oup/démo ☃",
  "/it's/%22quoted%22%20$(id)%20%60id%60%20%5C.git": `it's/"quoted" $(id) \`id\` \\`,
  "/../../../../etc/passwd.git": "etc/passwd",
  "/%2e%2e/%2e%2e/etc.git": "etc",
  "/a/%2e%2e/%2e%2e/b.git": "b",
  "/a..b/c.git": "project-17",
  "/..git": "project-17",
  "/%ff/x.git": "project-17",
  "": "project-17",
  "/-v/--privileged.git": "-v/--privileged",
};

describe("a project's path", () => {
  for (const [path, slug] of Object.entries(paths)) {
    const unusual = slug !== "project-17" && slug !== "group/sub/demo";
    it(`${JSON.stringify(path)} stays below data_dir, on the host${unusual ? " and in a container" : ""}`, async () => {
      for (const image of unusual ? [undefined, "localhost/jacamar-busybox"] : [undefined]) {
        const job = jobs.job({ repository: host + path, ...(image === undefined ? {} : { image }) });
        await job.ready();
        const { builds_dir: buildsDir, cache_dir: cacheDir } = job.answer;
        assert.equal(job.directoryOf("projectDir"), `${buildsDir}/${slug}`);
        assert.equal(buildsDir, `${jobs.dataDir}/builds/tEsT-runN/000`);
        assert.equal(cacheDir, `${jobs.dataDir}/cache`);
        assert.ok(job.directoryOf("scriptsDir").startsWith(`${jobs.dataDir}/scripts/tEsT-runN/000/`));

        // As the runner's scripts do with a project and its file variables; its own quoting is the runner's affair.
        const run = await job.run(
          "build_script",
          `umask 077; cd "$(printf '${octal(buildsDir)}')"; p="$(printf '${octal(slug)}')"
          mkdir -p -- "$p" "$p.tmp"; echo secret > "./$p.tmp/VARIABLE"; cd -- "$p"; echo made > here; pwd
          echo kept > "$(printf '${octal(`${cacheDir}/${slug}`)}')/cached"`,
        );
        assert.equal(run.exitCode, 0, logOf(run));
        assert.equal(run.stdout, `${buildsDir}/${slug}\n`);
        assert.equal((await job.cleanup()).exitCode, 0);

        const files = filesBelow(jobs.dataDir);
        assert.ok(files.includes(`${buildsDir}/${slug}/here`), files.join("\n"));
        assert.ok(files.includes(`${cacheDir}/${slug}/cached`));
        assert.ok(!files.some((file) => file.includes("VARIABLE") || file.includes(".tmp/")));
        assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
      }
    });
  }

  for (const path of ["/a%3Ab/c.git", "/a%0Ab/c.git", "/a%00b/c.git", "/a%1b[31mb/c.git"]) {
    it(`${JSON.stringify(path)} is none, and no job runs with it`, async () => {
      const config = await jobs.job({ repository: host + path }).config();
      assertOneMessage(
        config,
        "system",
        /^ERROR: The job response has a repository address with characters that no project/,
      );
      assert.equal(config.stdout, "");
    });
  }
});

/** A text as printf reads it, whatever its bytes are. */
function octal(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`)
    .join("")
    .replaceAll("\\0", "\\");
}
