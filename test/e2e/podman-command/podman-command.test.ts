import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { makeRecorder, type Recorder } from "../podman-support/recorder.ts";
import { type BenchJob, jobKey, prepared, Workbench } from "../podman-support/workbench.ts";

const demo = "localhost/jacamar-demo:latest";
const selinux = existsSync("/sys/fs/selinux/enforce");
/** Names of Go, which Podman takes, for the names of Node. */
const architecture = ({ x64: "amd64", arm64: "arm64" } as Record<string, string>)[process.arch];

/** What the command consists of, where a case has it otherwise than the specification's example. */
interface Parts {
  readonly stage: string;
  readonly labels: readonly [builds: string, cache: string, scripts: string];
  readonly authFile: string;
  readonly entrypoint: string;
  readonly remove: readonly string[];
  readonly tty: readonly string[];
  /** Between the labels and the image. */
  readonly further: readonly string[];
  readonly image: string;
}

interface Case extends BenchJob {
  readonly title: string;
  /** A stage of the runner's in place of the user's script. */
  readonly stage?: string;
  readonly differs: (job: TestJob, ids: Ids) => Partial<Parts>;
}

interface Ids {
  readonly demo: string;
  readonly runner: string;
  readonly busybox: string;
}

const cases: readonly Case[] = [
  {
    title: "is the specification's, with a name, three labels, the image's id and --pull=never",
    differs: () => ({}),
  },
  {
    title: "has no other image, options or entrypoint for the runner's stages than runner_image and its keys",
    podman: {
      runner_image: "localhost/jacamar-runner:latest",
      runner_options: ["--env", "ROLE=a runner's"],
      runner_entry_point: ["/bin/bash", "-c"],
      custom_options: ["--env", "ROLE=the user's"],
      user_entry_point: ["/bin/sh", "-c"],
    },
    stage: "get_sources",
    differs: (_job, { runner }) => ({
      image: runner,
      entrypoint: '["/bin/bash","-c"]',
      further: ["--pull=never", "--cap-drop=CHOWN", "--env", "ROLE=a runner's"],
    }),
  },
  {
    title: "has custom_options one by one, whatever stands in them, and then the user's volumes in natural order",
    podman: {
      custom_options: ["--env", 'Q=it\'s "$(id)" \\ *', "--shm-size=32m"],
      user_volume_variable: "PODMAN_VOLUMES",
    },
    variables: {
      PODMAN_VOLUMES_10: "/usr/share:/tenth:ro",
      PODMAN_VOLUMES_9: "/usr/share:/ninth",
      PODMAN_VOLUMES: "/usr/share:/none:ro,nosuid",
    },
    differs: () => ({
      further: [
        ["--pull=never", "--env", 'Q=it\'s "$(id)" \\ *', "--shm-size=32m"],
        ["--volume", "/usr/share:/none:ro,nosuid"],
        ["--volume", "/usr/share:/ninth"],
        ["--volume", "/usr/share:/tenth:ro"],
      ].flat(),
    }),
  },
  {
    title: "has user_entry_point before the job's own entrypoint",
    podman: { user_entry_point: ["/bin/sh", "-e", "-c"] },
    image: { name: demo, entrypoint: ["/bin/false"] },
    differs: () => ({ entrypoint: '["/bin/sh","-e","-c"]' }),
  },
  {
    title: "has the job's entrypoint, quotes and spaces and all",
    image: { name: demo, entrypoint: ["/bin/bash", "-c", 'echo "it\'s $0"; exec "$0"'] },
    differs: () => ({ entrypoint: '["/bin/bash","-c","echo \\"it\'s $0\\"; exec \\"$0\\""]' }),
  },
  {
    title: "takes the entrypoint away where the job says so",
    image: { name: "localhost/jacamar-entrypoint:latest", entrypoint: [""] },
    differs: () => ({ entrypoint: "", image: "" }),
  },
  {
    title: "has sh as entrypoint for an image without Bash",
    image: "localhost/jacamar-busybox:latest",
    differs: (_job, { busybox }) => ({ entrypoint: '["/bin/sh","-l","-c"]', image: busybox }),
  },
  {
    title: "makes the number that the job asks for the user outside, too",
    image: { name: demo, executor_opts: { docker: { platform: "", user: "1000:1001" } } },
    differs: () => ({ further: ["--user=1000:1001", "--userns=keep-id:uid=1000,gid=1001", "--pull=never"] }),
  },
  {
    title: "has the platform that the job asks for",
    image: { name: demo, executor_opts: { docker: { platform: `linux/${architecture}`, user: "" } } },
    differs: () => ({ further: [`--platform=linux/${architecture}`, "--pull=never"] }),
  },
  {
    title:
      "has no --tty with tty = false, no --rm with disable_container_removal, no label with selinux_labels = false",
    podman: { tty: false, disable_container_removal: true, selinux_labels: false },
    differs: () => ({ tty: [], remove: [], labels: ["", "", ""] }),
  },
  {
    title: "has the user's credentials file where REGISTRY_AUTH_FILE names one",
    variables: { REGISTRY_AUTH_FILE: '{"auths":{}}' },
    differs: (job) => ({ authFile: `${job.directoryOf("scriptsDir")}/registry-auth.json` }),
  },
  ...[
    ["docker-archive", "docker-archive"],
    ["docker-dir", "dir"],
    ["oci-archive", "oci-archive"],
    // Podman 4.3 makes an image name of the path, so it must have no capital letters.
    ["oci-dir", "oci", "relative"],
  ].map(([format = "", transport = "", place]): Case => {
    return {
      title: `starts from the archive with archive_format = "${format}", without --pull=never`,
      podman: { archive_format: format },
      image: "localhost/jacamar-busybox:latest",
      differs: (job, ids) => {
        const shared = `${job.directoryOf("base")}/archives/${format}-${ids.busybox}`;
        return {
          entrypoint: '["/bin/sh","-l","-c"]',
          further: ["--quiet"],
          image: `${transport}:${place === "relative" ? `image-${jobKey(job)}` : shared}`,
        };
      },
    };
  }),
];

describe("the command of a stage", () => {
  let bench: Workbench;
  let recorder: Recorder;
  let ids: Ids;
  before(async () => {
    bench = new Workbench("podman-command");
    recorder = makeRecorder(bench);
    ids = {
      demo: await bench.imageId(demo),
      runner: await bench.imageId("localhost/jacamar-runner"),
      busybox: await bench.imageId("localhost/jacamar-busybox"),
    };
  });
  after(() => bench.close());

  for (const { title, stage = "build_script", differs, ...options } of cases) {
    it(title, async () => {
      const job = bench.job({
        image: demo,
        ...options,
        podman: { application_path: recorder.program, ...options.podman },
      });
      await prepared(job);
      recorder.take();
      const run = await job.run(stage, "echo ran");
      assert.match(run.stdout, /^ran$/m, run.stderr);
      const [call, ...others] = recorder.take();
      assert.deepEqual(others, [], "one command for one stage");

      const differences = differs(job, ids);
      const image = differences.image === "" ? await bench.imageId("localhost/jacamar-entrypoint") : differences.image;
      const wanted = command(job, bench.dataDir, {
        stage,
        authFile: `${job.directoryOf("scriptsDir")}/auth.json`,
        labels: [":Z", ":z", ":Z"],
        entrypoint: '["/bin/bash","-l","-c"]',
        remove: ["--rm"],
        tty: ["--tty"],
        further: ["--pull=never"],
        ...differences,
        image: image ?? ids.demo,
      });
      assert.deepEqual(withoutNonce(call?.argv ?? []), wanted);
    });
  }
});

/** The specification's example ("The resulting Podman command"), and what issue 2 adds to it. */
function command(job: TestJob, dataDir: string, parts: Parts): string[] {
  const builds = `${dataDir}/builds/tEsT-runN/000`;
  const cache = `${dataDir}/cache/group/demo`;
  const scripts = `${dataDir}/scripts/tEsT-runN/000/group/demo/${job.id}`;
  const key = jobKey(job);
  return [
    ["run"],
    ["--volume", `${builds}:${builds}${parts.labels[0]}`],
    ["--volume", `${cache}:${cache}${parts.labels[1]}`],
    ["--volume", `${scripts}:${scripts}${parts.labels[2]}`],
    ["--authfile", parts.authFile],
    ["--entrypoint", parts.entrypoint],
    parts.remove,
    parts.tty,
    ["--name", `jacamar-ci-${key}-${parts.stage}-NONCE`],
    ["--label", `jacamar-ci.job=${key}`],
    ["--label", `jacamar-ci.stage=${parts.stage}`],
    ["--label", "jacamar-ci.life=LIFE"],
    selinux && parts.labels[0] !== "" ? ["--security-opt", "label=level:LEVEL"] : [],
    parts.further,
    [parts.image, `${scripts}/${parts.stage}.bash`],
  ].flat();
}

function withoutNonce(argv: readonly string[]): string[] {
  return argv.map((argument, index) => {
    if (argv[index - 1] === "--name") return argument.replace(/-[0-9a-z]+$/, "-NONCE");
    if (argument.startsWith("jacamar-ci.life=")) return "jacamar-ci.life=LIFE";
    return argument.replace(/^label=level:s0:c\d+,c\d+$/, "label=level:LEVEL");
  });
}
