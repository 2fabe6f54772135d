import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
  fsyncSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../../error/error.ts";
import { capture } from "../../process/capture.ts";
import { defineCheck, type Finding, outcomeOf, type Report } from "../check.ts";
import { onSystemPath } from "../../process/program-path.ts";
import type { Subject } from "../subject.ts";

type Name = "space-full" | "space-low" | "space-no-files" | "space-quota" | "space-quota-low";

const mib = 1024 * 1024;
/** Less than that, and a stage's own few files do not fit. */
const fullBytes = 64 * mib;
/** Less than that, and an ordinary image does not fit. */
const lowBytes = 2048 * mib;
const fewFiles = 1000;
/** Enough to be refused by a quota that is used up, and nothing to be noticed. */
const trialBytes = 256 * 1024;
const trial = Buffer.alloc(trialBytes);

export const freeSpace = defineCheck<Name>({
  name: "free-space",
  looksAt: "Space, files (inodes) and quota where jobs write: `data_dir`, the image store, the runtime directory.",
  network: false,
  ofMachine: false,
  explains: ["disk_full", "directory_failed", "image_pull_failed", "image_archive_failed", "podman_failed"],
  entries: {
    "space-full": {
      level: "wrong",
      means: "A file system on which jobs write has less than 64 MiB left.",
      why: "Stages fail in the middle of what they write.",
      todo: "Remove what is not needed: `podman system prune` as the user for images, old builds in `data_dir`.",
    },
    "space-low": {
      level: "warning",
      means: "A file system on which jobs write has less than 2 GiB left.",
      why: "One image of ordinary size fills it.",
      todo: "Make room before it is full.",
    },
    "space-no-files": {
      level: "wrong",
      means: "A file system on which jobs write can hold hardly any more files, whatever space is left.",
      why: "Each file takes an inode, and their number was fixed when the file system was made. Work trees and images have many small files.",
      todo: "Remove directories with many files.",
    },
    "space-quota": {
      level: "wrong",
      means: "A try to write 256 KiB was refused, since the user's quota is used up.",
      why: "The file system has room, and this account may take no more of it.",
      todo: "The user removes files, or the administrator raises the quota (`edquota`, `lfs setquota`, `mmedquota`).",
    },
    "space-quota-low": {
      level: "warning",
      means: "The user's quota is nearly used up, as quota(1) tells it.",
      why: "The next image or work tree may not fit.",
      todo: "The user removes files, or the administrator raises the quota.",
    },
  },
  async look(subject, report) {
    const findings: Finding[] = [];
    const seen = new Set<number>();
    const told: string[] = [];
    for (const { what, path } of await places(subject)) {
      const above = existingAbove(path);
      const device = statSync(above).dev;
      if (seen.has(device)) continue;
      seen.add(device);
      const { bavail, bsize, files, ffree } = statfsSync(above);
      const free = bavail * bsize;
      const text = `${what} (${above}) has ${size(free)} left`;
      if (free < fullBytes)
        findings.push(report("space-full", text, "remove what you no longer need there, or tell the administrator"));
      else if (free < lowBytes)
        findings.push(report("space-low", text, "remove what you no longer need there, or tell the administrator"));
      // Some file systems make inodes as they need them, and say 0.
      if (files > 0 && ffree < fewFiles) {
        const few = `${what} (${above}) can hold only ${ffree} more files`;
        findings.push(report("space-no-files", few, "remove directories with many small files there"));
      }
      if (free >= fullBytes && writeSome(above) === "EDQUOT") {
        const quota = `your quota on ${what} (${above}) is used up`;
        findings.push(report("space-quota", quota, "remove files of yours there, or ask the administrator for more"));
      }
      told.push(`${size(free)} for ${what}`);
    }
    findings.push(...(await quotaFindings(report)));
    return outcomeOf(findings, told.join(", "));
  },
});

async function places(subject: Subject): Promise<{ what: string; path: string }[]> {
  const list = [{ what: "the directory of your jobs", path: subject.base }];
  if (!subject.usesPodman) return list;
  const podman = await subject.podman();
  if (podman.kind === "missing") return list;
  const store = podman.firstUse ? podman.storage.graphRoot : (podman.info?.store.graphRoot ?? podman.storage.graphRoot);
  return [
    ...list,
    { what: "your image store", path: store },
    { what: "Podman's runtime directory", path: podman.runtimeDirectory },
  ];
}

function existingAbove(path: string): string {
  let place = path;
  while (place !== "/" && !existsSync(place)) place = dirname(place);
  return place;
}

/** The system's word when something cannot be written; undefined when it can. */
function writeSome(directory: string): string | undefined {
  let own: string | undefined;
  try {
    own = mkdtempSync(`${directory}/.jacamar-doctor-`);
    const descriptor = openSync(`${own}/trial`, "wx", 0o600);
    try {
      // What a quota leaves is taken before it refuses.
      for (let done = 0; done < trialBytes; ) done += writeSync(descriptor, trial, done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    return undefined;
  } catch (error) {
    return systemErrorCode(error);
  } finally {
    if (own !== undefined) rmSync(own, { recursive: true, force: true });
  }
}

/** What quota(1) says, where there is one: `FILESYSTEM blocks quota limit grace files quota limit grace` (-w, one line each). */
async function quotaFindings(report: Report<Name>): Promise<Finding[]> {
  const quota = onSystemPath("quota");
  if (quota === undefined) return [];
  const { stdout } = await capture(
    { argv: [quota, "-w", "-p"], environment: { LC_ALL: "C" }, workingDirectory: "/" },
    { timeoutSeconds: 2 },
  );
  return parseQuota(stdout).flatMap(({ place, used, limit }) => {
    if (used < limit * 0.9) return [];
    const text = `${Math.round((used / limit) * 100)} % of your quota on ${place} is used (${size(used * 1024)} of ${size(limit * 1024)})`;
    return [report("space-quota-low", text, "remove files of yours there, or ask the administrator for more")];
  });
}

/** The lines of `quota -w -p` that have a limit; sizes in KiB. */
export function parseQuota(text: string): { place: string; used: number; limit: number }[] {
  return [...text.matchAll(/^\s*(\/\S*|\S+:\S+)\s+(\d+)\*?\s+(\d+)\s+(\d+)\b/gm)].flatMap(
    ([, place = "", used, soft, hard]) => {
      const limit = Number(soft) || Number(hard);
      return limit === 0 ? [] : [{ place, used: Number(used), limit }];
    },
  );
}

function size(bytes: number): string {
  if (bytes >= 1024 * mib) return `${(bytes / (1024 * mib)).toFixed(1)} GiB`;
  return `${Math.floor(bytes / mib)} MiB`;
}
