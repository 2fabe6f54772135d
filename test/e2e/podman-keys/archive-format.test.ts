import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { executors, scriptOutput } from "../podman-support/executors.ts";
import { prepared, Workbench } from "../podman-support/workbench.ts";

for (const [executor, skip] of executors) {
  describe(`archive_format, ${executor}`, { skip }, () => {
    let bench: Workbench;
    before(() => {
      bench = new Workbench("archive-format", executor);
    });
    after(() => bench.close());

    for (const [format, kind] of [
      ["none", undefined],
      [undefined, executor === "slurm" ? "docker-archive:/" : undefined],
      ["docker-archive", "docker-archive:/"],
      ["docker-dir", "dir:/"],
      ["oci-archive", "oci-archive:/"],
      ["oci-dir", "oci:"],
    ] as const) {
      it(`${format ? `= "${format}"` : "unset"} ${kind ? "runs the job from an archive, also when the image is gone" : "makes none"}`, async () => {
        const image = await bench.makeImage(`archived-${format}`, `ENV MADE_FOR=${format}`);
        const job = bench.job({ image, podman: { archive_format: format } });
        const log = await prepared(job);
        const said = /^The image is archived as (.*)$/m.exec(log)?.[1];
        assert.equal(said?.slice(0, kind?.length), kind);
        const id = await bench.imageId(image);

        if (kind !== undefined) await bench.podman("rmi", "--force", image);
        for (const stage of ["build_script", "after_script"]) {
          const { exitCode, stdout, stderr } = await job.run(stage, 'echo "made for $MADE_FOR"; exit 0');
          assert.equal(exitCode, 0, stderr);
          assert.equal(scriptOutput(stdout), `made for ${format}\n`);
        }

        const directory = job.directoryOf("privateDir");
        assert.ok(existsSync(directory));
        assert.equal((await job.cleanup()).exitCode, 0);
        assert.ok(!existsSync(directory));
        const archives = readdirSync(`${job.directoryOf("base")}/archives`).filter((name) => name.includes(id));
        const made = format ?? "docker-archive";
        const facts = `image-${id}.json`;
        const kept = kind === undefined ? [facts] : [`${made}-${id}`, `${made}-${id}.lock`, facts];
        assert.deepEqual(archives.toSorted(), kept.toSorted(), "the archive stays, and nothing of the job");
        const names = await bench.podman("images", "--format", "{{.Repository}}", "--filter", `id=${id}`);
        assert.doesNotMatch(names, /^localhost\/image-/m, "no name is left");
        await bench.podman("rmi", "--force", "--ignore", id);
      });
    }
  });
}
