import { asUser, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";

type Name = "storage-vfs" | "storage-vfs-first" | "storage-other" | "storage-no-d-type";

export const storageDriver = defineCheck<Name>({
  name: "storage-driver",
  looksAt: "The storage driver that Podman really uses, whatever storage.conf says, and what the file system gives it.",
  network: false,
  ofMachine: false,
  explains: ["disk_full", "image_archive_failed"],
  entries: {
    "storage-vfs": {
      level: "wrong",
      means: "The user's store has the driver `vfs`.",
      why: "It copies the whole image for each layer and each container: minutes in place of a second, and many times the disk. The driver that a store began with stays, whatever storage.conf says later. Podman 4 of Debian begins with it where no file names another.",
      todo: 'Write `driver = "overlay"` into storage.conf, then begin the store anew. That removes all images and containers of the account.',
    },
    "storage-vfs-first": {
      level: "wrong",
      means: "The account has no store yet, and the first call of Podman would make one with the driver `vfs`.",
      why: "The first driver stays for ever.",
      todo: "Write a storage.conf before the first job: the administrator for all users in `/etc/containers`, or the user.",
    },
    "storage-other": {
      level: "warning",
      means: "storage.conf names another driver than the store has.",
      why: "The store was begun with the other one, which stays; Podman says so on every call.",
      todo: "Begin the store anew, which removes all images and containers of the account, or correct storage.conf.",
    },
    "storage-no-d-type": {
      level: "wrong",
      means: "The file system under the store does not tell the type of directory entries (`d_type`).",
      why: "overlay needs it. XFS has it when it was made with `ftype=1`.",
      todo: "Move the store to another file system, or make this one anew.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const podman = await subject.podman();
    if (podman.kind === "missing" || podman.info === undefined) return skipped("Podman does not answer");
    const { graphDriverName: driver, graphStatus, graphOptions } = podman.info.store;
    const { ownFile, driver: wanted } = podman.storage;
    const write = `mkdir -p ${quote(ownFile.replace(/\/[^/]*$/, ""))} && printf '[storage]\\ndriver = "overlay"\\n' > ${quote(ownFile)}`;
    const findings: Finding[] = [];
    if (driver === "vfs" && podman.firstUse) {
      const text = "Podman would begin the image store with the driver vfs, which is slow and stays";
      findings.push(report("storage-vfs-first", text, "write a storage.conf before the first job", asUser(write)));
    } else if (driver === "vfs") {
      const text = "the image store has the driver vfs, which copies the whole image for each container";
      const reset = wanted === "overlay" ? "podman system reset --force" : `${write} && podman system reset --force`;
      findings.push(
        report("storage-vfs", text, "begin it anew with overlay, which removes all your images", asUser(reset)),
      );
    } else if (wanted !== undefined && wanted !== driver) {
      const text = `storage.conf names the driver ${wanted}, and the store has ${driver}`;
      const reset = asUser("podman system reset --force");
      findings.push(report("storage-other", text, "begin the store anew, which removes all your images", reset));
    }
    if (graphStatus?.["Supports d_type"] === "false") {
      const text = "the file system under the image store does not support d_type";
      findings.push(report("storage-no-d-type", text, "ask the administrator for another file system for it"));
    }
    const fuse = JSON.stringify(graphOptions ?? {}).includes("fuse-overlayfs") ? " by fuse-overlayfs" : "";
    return outcomeOf(findings, `${driver}${fuse}${podman.firstUse ? ", for the first time" : ""}`);
  },
});

/** For a shell. */
function quote(path: string): string {
  return /^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
