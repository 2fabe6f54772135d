import { existsSync, lstatSync, readlinkSync, statSync } from "node:fs";
import type { Account } from "../../account/account.ts";
import { asUser, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { readPlainFile } from "../plain-file.ts";
import { parseRanges } from "./subordinate-ids.ts";

type Name = "pause-process-stale" | "pause-process-outdated";

export const pauseProcess = defineCheck<Name>({
  name: "pause-process",
  looksAt: "The process that holds the user's user namespace for all calls of Podman, and the file with its number.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "image_pull_failed", "container_left"],
  entries: {
    "pause-process-stale": {
      level: "wrong",
      means: "Podman's note names another process of the user's than its pause process.",
      why: "The pause process was killed, and its number went to another process. Each call of Podman then fails: `cannot set user namespace`, `cannot join mount namespace`, `invalid internal status`.",
      todo: "Remove the note; Podman starts a new one.",
    },
    "pause-process-outdated": {
      level: "wrong",
      means: "The pause process was started before the account had the subordinate ids that it has now.",
      why: "All calls of Podman join its user namespace, so a new line in `/etc/subuid` counts only when it has ended.",
      todo: "`podman system migrate` as the user. It stops the user's containers.",
    },
  },
  look({ account, usesPodman }, report) {
    if (!usesPodman) return Promise.resolve(skipped("no job runs in a container"));
    const findings: Finding[] = [];
    let living = "none";
    for (const file of notes(account)) {
      const pid = readNumber(file);
      if (pid === undefined || !isOwn(pid, account.uid)) continue;
      if (!isPauseProcess(pid)) {
        const text = `${file} names the process ${pid}, which is not Podman's pause process any more`;
        findings.push(report("pause-process-stale", text, "remove that file", asUser(`rm ${file}`)));
        continue;
      }
      living = `process ${pid}`;
      const mapped = total(read(`/proc/${pid}/uid_map`));
      const given = parseRanges(read("/etc/subuid"))
        .filter(({ owner }) => owner === account.name || owner === String(account.uid))
        .reduce((sum, { count }) => sum + count, 0);
      if (mapped === 1 && given > 0) {
        const text = "Podman's pause process is older than your subordinate ids, and no container gets them";
        findings.push(report("pause-process-outdated", text, "end it", asUser("podman system migrate")));
      }
    }
    return Promise.resolve(outcomeOf(findings, living));
  },
});

/**
 * Where Podman keeps the number: by its `XDG_RUNTIME_DIR`, or where it found none at its first call. A stranger may have taken the
 * name in /tmp, and put a pipe there that nobody ever writes to.
 */
function notes({ uid }: Account): string[] {
  return [`/run/user/${uid}`, `/tmp/jacamar-ci-${uid}`, `/tmp/podman-run-${uid}`]
    .filter((directory) => lstatSync(directory, { throwIfNoEntry: false })?.uid === uid)
    .map((directory) => `${directory}/libpod/tmp/pause.pid`)
    .filter((path) => existsSync(path));
}

function readNumber(path: string): number | undefined {
  const text = read(path).trim();
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
}

/** A number that is nobody's, or somebody else's process, Podman itself takes for no pause process. */
function isOwn(pid: number, uid: number): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === uid || read(`/proc/${pid}/status`).includes(`Uid:\t${uid}\t`);
  } catch {
    return false;
  }
}

/** It has a user namespace of its own, and is Podman itself or catatonit. */
function isPauseProcess(pid: number): boolean {
  try {
    if (readlinkSync(`/proc/${pid}/ns/user`) === readlinkSync("/proc/self/ns/user")) return false;
  } catch {
    // Not ours to look at: then it is not in our own namespace.
  }
  return /^(?:catatonit|podman)\b/.test(read(`/proc/${pid}/comm`));
}

function total(map: string): number {
  return [...map.matchAll(/^\s*\d+\s+\d+\s+(\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

function read(path: string): string {
  return readPlainFile(path) ?? "";
}
