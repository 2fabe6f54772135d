import { existsSync, lstatSync, mkdirSync, mkdtempSync, symlinkSync, readlinkSync } from "node:fs";
import { succeeded } from "../../podman/client.ts";
import { defineCheck, outcomeOf, skipped } from "../check.ts";
import { chooseRuntime } from "../choose-runtime.ts";
import { failureOf } from "../podman-answer.ts";

type Name = "container-fails" | "container-runtime";

/** What a program of this machine needs of it. */
const systemDirectories = ["/usr", "/bin", "/lib", "/lib64"];
const startSeconds = 10;

export const container = defineCheck<Name>({
  name: "container",
  looksAt: "Whether a container starts: Podman runs `true` of this very machine, without any image.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed"],
  entries: {
    "container-runtime": {
      level: "wrong",
      means: "The OCI runtime that Podman uses is not there, or does not work on this machine.",
      why: "crun up to 1.8 refuses hybrid cgroups; runc refuses `--cgroups=disabled`; and a runtime that is named in containers.conf may not be installed.",
      todo: 'Install the other one, and name it: `runtime = "runc"` or `"crun"` in `[engine]` of containers.conf.',
    },
    "container-fails": {
      level: "wrong",
      means: "Podman cannot start a container.",
      why: "The message is Podman's own. The other lines of the doctor often say why.",
      todo: "Mend what else is wrong first. Then try as the user: `podman run --rm --network=none IMAGE true`.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const podman = await subject.podman();
    if (podman.kind !== "works" || podman.info === undefined) return skipped("Podman does not answer");
    const root = mkdtempSync(`${subject.scratch()}/rootfs-`);
    const volumes = fillRoot(root);
    const started = performance.now();
    const answer = await podman.client.ask(
      [
        ...podman.globalOptions,
        "run",
        "--rm",
        "--network=none",
        "--security-opt=label=disable",
        ...volumes.flatMap((path) => ["--volume", `${path}:${path}:ro`]),
        "--rootfs",
        root,
        "/usr/bin/true",
      ],
      { timeoutSeconds: startSeconds, stop: subject.stop },
    );
    const { name: runtime, path } = podman.info.host.ociRuntime;
    const took = `${((performance.now() - started) / 1000).toFixed(1)} s`;
    if (succeeded(answer.ending)) return outcomeOf([], `${path || runtime} ran one in ${took}`);
    const why = "signal" in answer.ending ? `it did not end within ${startSeconds} s` : failureOf(answer.stderr);
    const isRuntime = /OCI runtime|cgroups? in hybrid mode|cgroup.*not (?:supported|mounted)|runc|crun/i.test(why);
    const text = `a container does not start (runtime ${path || runtime || "unknown"}): ${why}`;
    return outcomeOf(
      [
        isRuntime
          ? report(
              "container-runtime",
              text,
              "ask the administrator which runtime works here",
              chooseRuntime(path || runtime),
            )
          : report("container-fails", text, "show this line to the administrator"),
      ],
      "",
    );
  },
});

/** Makes a root file system with the machine's own programs; returns the directories to mount. Links of /bin and the like stay links. */
function fillRoot(root: string): string[] {
  for (const name of ["proc", "sys", "dev", "etc", "tmp", "run"]) mkdirSync(`${root}/${name}`);
  return systemDirectories.filter((path) => {
    if (!existsSync(path)) return false;
    if (lstatSync(path).isSymbolicLink()) {
      symlinkSync(readlinkSync(path), `${root}${path}`);
      return false;
    }
    mkdirSync(`${root}${path}`);
    return true;
  });
}
