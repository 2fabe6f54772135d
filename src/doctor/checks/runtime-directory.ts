import { existsSync, lstatSync } from "node:fs";
import { systemRuntimeDirectory } from "../../podman/surroundings.ts";
import { asRoot, defineCheck, type Finding, outcomeOf } from "../check.ts";

type Name = "runtime-directory-unusable" | "runtime-directory-passing" | "runtime-directory-taken";

export const runtimeDirectory = defineCheck<Name>({
  name: "runtime-directory",
  looksAt: "`/run/user/UID`, which becomes Podman's `XDG_RUNTIME_DIR`, and lingering.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "directory_failed"],
  entries: {
    "runtime-directory-unusable": {
      level: "warning",
      means: "`/run/user/UID` is there and is not the user's alone.",
      why: "Podman keeps sockets and locks there. Jobs take `/tmp/jacamar-ci-UID` in its place, while a Podman of a login session takes the other; the two then do not see each other's containers.",
      todo: "Let systemd make it anew: `systemctl restart user-runtime-dir@UID`.",
    },
    "runtime-directory-passing": {
      level: "warning",
      means: "`/run/user/UID` is there only while the user is logged in: lingering is off.",
      why: "systemd removes it with the last session, under a container that runs, and may end the user's processes with it.",
      todo: "Turn lingering on for every user of the runner.",
    },
    "runtime-directory-taken": {
      level: "warning",
      means: "`/tmp/jacamar-ci-UID`, where jobs work without `/run/user/UID`, is somebody else's.",
      why: "Jobs then use a directory in `data_dir`, which may lie on a slow or shared file system, where Podman's locks do not work.",
      todo: "Remove it, and turn lingering on.",
    },
  },
  look({ account, usesPodman }, report) {
    if (!usesPodman) return Promise.resolve({ kind: "skipped", why: "no job runs in a container" });
    const { name, uid } = account;
    const linger = asRoot(`loginctl enable-linger ${name}`);
    const findings: Finding[] = [];
    const system = systemRuntimeDirectory(account);
    const hasSystemd = existsSync("/run/systemd/system");
    if (system !== undefined && hasSystemd && !existsSync(`/var/lib/systemd/linger/${name}`)) {
      const text = `${system} goes away when ${name} logs out, under jobs that run`;
      findings.push(
        report("runtime-directory-passing", text, "ask the administrator to enable lingering for you", linger),
      );
    }
    if (system === undefined && existsSync(`/run/user/${uid}`)) {
      const text = `/run/user/${uid} is not closed to others, or not yours`;
      const restart = asRoot(`systemctl restart user-runtime-dir@${uid}`);
      findings.push(report("runtime-directory-unusable", text, "ask the administrator to restore it", restart));
    }
    const own = `/tmp/jacamar-ci-${uid}`;
    if (system === undefined && isForeign(own, uid)) {
      const text = `${own} belongs to somebody else, so that Podman's runtime directory lies in data_dir`;
      findings.push(
        report("runtime-directory-taken", text, "ask the administrator to remove it", asRoot(`rm -rf ${own}`)),
      );
    }
    return Promise.resolve(outcomeOf(findings, system ?? `${own}, since there is no /run/user/${uid}`));
  },
});

function isForeign(path: string, uid: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status !== undefined && (!status.isDirectory() || status.uid !== uid);
}
