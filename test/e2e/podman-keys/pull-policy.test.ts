import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Registry, startRegistry } from "../../harness/registry.ts";
import { type BenchJob, prepared, refused, scriptOf, Workbench } from "../podman-support/workbench.ts";

const os = ". /etc/os-release; echo $ID";
let bench: Workbench;
before(() => {
  bench = new Workbench("pull-policy");
});
after(() => bench.close());

describe("image_pull_policy", () => {
  let registry: Registry;
  before(() => {
    registry = startRegistry("anonymous");
  });
  after(() => registry.stop());

  /** The registry has BusyBox under the name; the user's store, where it has anything, has the demo image under it. */
  async function offer(policy: string, place: "only there" | "here, too"): Promise<string> {
    const name = `${registry.host}/policy/${policy}-${place === "here, too" ? "old" : "none"}:1`;
    if (place === "here, too") await bench.podman("tag", "localhost/jacamar-demo", name);
    bench.removeImageLater(name);
    return registry.push(bench.user, "localhost/jacamar-busybox", name.slice(registry.host.length + 1));
  }

  /** How often the registry was asked for what the name means. */
  function requestsFor(name: string): number {
    const path = name.slice(registry.host.length).replace(/:1$/, "/manifests/");
    const log = readFileSync(join(registry.stateDirectory, "log"), "utf8");
    return log.split("\n").filter((line) => line.includes('"GET ') && line.includes(path)).length;
  }

  const outcomes = {
    always: { missing: "jacamar-busybox", stale: "jacamar-busybox", asks: true },
    newer: { missing: "jacamar-busybox", stale: "jacamar-busybox", asks: true },
    missing: { missing: "jacamar-busybox", stale: "jacamar-demo", asks: false },
    "if-not-present": { missing: "jacamar-busybox", stale: "jacamar-demo", asks: false },
    never: { missing: undefined, stale: "jacamar-demo", asks: false },
  } as const;

  for (const [policy, { missing, stale, asks }] of Object.entries(outcomes)) {
    const podman = { image_pull_policy: policy };

    it(`= "${policy}" ${missing ? "pulls an image that is not here" : "refuses a job whose image is not here"}`, async () => {
      const job = bench.job({ image: await offer(policy, "only there"), podman });
      if (missing) {
        const { log } = await scriptOf(job, os);
        assert.match(log, new RegExp(`^${missing}$`, "m"));
        return;
      }
      const { exitCode, log } = await refused(job);
      assert.equal(exitCode, 1);
      assert.match(log, /is not on this machine, and the pull policy is "never"/);
    });

    it(`= "${policy}" ${asks ? "takes the registry's newer image" : "does not ask the registry"} when an older one is here`, async () => {
      const image = await offer(policy, "here, too");
      const before = requestsFor(image);
      const { log } = await scriptOf(bench.job({ image, podman }), os);
      assert.match(log, new RegExp(`^${stale}$`, "m"));
      assert.equal(requestsFor(image) - before > 0, asks);
    });
  }

  it("unset, asks the registry each time", async () => {
    const image = await offer("unset", "here, too");
    const { log } = await scriptOf(bench.job({ image, podman: { image_pull_policy: undefined } }), os);
    assert.match(log, /^jacamar-busybox$/m);
  });

  it("unset, lets the job choose", async () => {
    const name = await offer("chosen", "here, too");
    const image = { name, pull_policy: ["if-not-present"] };
    const { log } = await scriptOf(bench.job({ image, podman: { image_pull_policy: undefined } }), os);
    assert.match(log, /^jacamar-demo$/m);
    assert.equal(requestsFor(name), 0);
  });

  it("does not let a job ask for another policy, and says which one is allowed", async () => {
    const image = { name: "localhost/jacamar-demo", pull_policy: ["always"] };
    const { exitCode, log } = await refused(bench.job({ image, podman: { image_pull_policy: "never" } }));
    assert.equal(exitCode, 1);
    assert.match(log, /asks for the pull policy always .* allows only never/);
  });
});

describe("runner_pull_policy", () => {
  let registry: Registry;
  before(() => {
    registry = startRegistry("anonymous");
  });
  after(() => registry.stop());

  it("is for runner_image alone", async () => {
    const name = bench.removeImageLater(`${registry.host}/runner:1`);
    await bench.podman("tag", "localhost/jacamar-demo", name);
    await registry.push(bench.user, "localhost/jacamar-busybox", "runner:1");
    for (const [policy, expected] of [
      [undefined, "jacamar-demo"],
      ["always", "jacamar-busybox"],
    ] as const) {
      const podman = { runner_image: name, runner_pull_policy: policy };
      const job = bench.job({ image: "localhost/jacamar-demo", podman });
      const { log } = await scriptOf(job, os, "get_sources");
      assert.match(log, new RegExp(`^${expected}$`, "m"), `${policy}`);
    }
  });
});

describe("a registry that went away", () => {
  it("after prepare is not missed: neither the user's stages nor the runner's go there again", async () => {
    const registry = startRegistry("anonymous");
    const image = bench.removeImageLater(await registry.push(bench.user, "localhost/jacamar-busybox", "user:1"));
    const runner = bench.removeImageLater(await registry.push(bench.user, "localhost/jacamar-demo", "runner:1"));
    const podman = { image_pull_policy: "always", runner_image: runner, runner_pull_policy: "always" };
    const job = bench.job({ image, podman });
    try {
      const log = await prepared(job);
      assert.equal(log.match(/^The (?:runner )?image is pulled: /gm)?.length, 2, log);
    } finally {
      registry.stop();
    }
    for (const stage of ["get_sources", "build_script", "after_script", "upload_artifacts_on_success"]) {
      const { exitCode, stdout, stderr } = await job.run(stage, os);
      assert.equal(exitCode, 0, stderr);
      assert.equal(stdout.trim(), stage.endsWith("_script") ? "jacamar-busybox" : "jacamar-demo");
    }
  });

  const gone = "127.0.0.1:9";
  const outcomes: [policy: string | undefined, asked: string[], exitCode: number, log: RegExp][] = [
    ["always", [], 2, /Cannot pull the image .*connection refused/],
    ["newer", [], 0, /The image is found on this machine/],
    ["missing", [], 0, /The image is found on this machine/],
    [undefined, ["always", "if-not-present"], 0, /Attempt 2: trying the pull policy "missing"/],
  ];
  for (const [policy, asked, wanted, words] of outcomes) {
    const how = policy ? `"${policy}"` : `a job's ${asked.join(", then ")}`;
    it(`before prepare fails it, or not, as ${how} says: exit ${wanted}`, async () => {
      const name = bench.removeImageLater(`${gone}/gone-${wanted}:1`);
      await bench.podman("tag", "localhost/jacamar-demo", name);
      const image: BenchJob["image"] = { name, pull_policy: asked };
      const { exitCode, log } = await refused(bench.job({ image, podman: { image_pull_policy: policy } }));
      assert.equal(exitCode, wanted, log);
      assert.match(log, words);
    });
  }
});
