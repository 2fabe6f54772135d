import { readFileSync, statSync } from "node:fs";
import { capture } from "../../process/capture.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { mountOf } from "../mounts.ts";
import { onPath, onSystemPath } from "../../process/program-path.ts";

type Name = "id-mapping-missing" | "id-mapping-powerless" | "id-mapping-nosuid" | "id-mapping-no-new-privs";

const programs = [
  { program: "newuidmap", capability: "cap_setuid" },
  { program: "newgidmap", capability: "cap_setgid" },
] as const;

export const idMapping = defineCheck<Name>({
  name: "id-mapping",
  looksAt: "`newuidmap` and `newgidmap`: whether they are there and may do what they are for.",
  network: false,
  ofMachine: true,
  explains: ["podman_failed", "image_pull_failed"],
  entries: {
    "id-mapping-missing": {
      level: "wrong",
      means: "`newuidmap` or `newgidmap` is not on the PATH.",
      why: "Podman gives a container its subordinate ids with these two programs.",
      todo: "Install them: package `uidmap` of Debian and Ubuntu, `shadow-utils` of Fedora and Red Hat, `shadow` of SUSE.",
    },
    "id-mapping-powerless": {
      level: "wrong",
      means: "`newuidmap` or `newgidmap` has neither the setuid bit nor its capability.",
      why: "Giving ids away takes a right that users have not; the program has it from its file. Copies (container images, file systems of a cluster's nodes) often lose it.",
      todo: "Give the program its right back, as the package has it.",
    },
    "id-mapping-nosuid": {
      level: "wrong",
      means: "The file system with `newuidmap` is mounted `nosuid`.",
      why: "The kernel then ignores setuid bits and capabilities of all files on it.",
      todo: "Mount it without `nosuid`, or install the programs elsewhere.",
    },
    "id-mapping-no-new-privs": {
      level: "wrong",
      means: "The process may gain no rights by starting a program (`no_new_privs`).",
      why: "So `newuidmap` has none either. The service of GitLab Runner may have `NoNewPrivileges=yes`, which all its children inherit.",
      todo: "Take `NoNewPrivileges` out of the unit: `systemctl edit gitlab-runner`.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const path = subject.isRoot ? undefined : (await subject.login())["PATH"];
    const findings: Finding[] = [];
    const found: string[] = [];
    for (const { program, capability } of programs) {
      const place = path === undefined ? onSystemPath(program) : onPath(program, path);
      if (place === undefined) {
        const text = `${program} is not on the PATH, so Podman cannot give containers their users`;
        const advice = "ask the administrator to install the package uidmap (or shadow-utils)";
        const install = asRoot("apt-get install uidmap || dnf install shadow-utils");
        findings.push(report("id-mapping-missing", text, advice, install));
        continue;
      }
      found.push(place);
      if (!(await hasRight(place, capability))) {
        const text = `${place} has lost its right to map ids`;
        const give = asRoot(`setcap ${capability}+ep ${place} || chmod u+s ${place}`);
        findings.push(
          report("id-mapping-powerless", text, "ask the administrator to restore its capability or setuid bit", give),
        );
      }
    }
    const place = found[0];
    if (place !== undefined && mountOf(place)?.options.has("nosuid") === true) {
      const text = `${place} lies on a file system that is mounted nosuid, so it has no rights`;
      findings.push(report("id-mapping-nosuid", text, "ask the administrator to mount it without nosuid"));
    }
    if (/^NoNewPrivs:\s*1$/m.test(readFileSync("/proc/self/status", "utf8"))) {
      const text = "this process may gain no rights (no_new_privs), so newuidmap has none";
      const advice = "ask the administrator to take NoNewPrivileges out of the unit of gitlab-runner";
      findings.push(report("id-mapping-no-new-privs", text, advice, asRoot("systemctl edit gitlab-runner")));
    }
    return outcomeOf(findings, found.join(", "));
  },
});

/** A setuid bit of root's, or the capability in the file (getcap(8)); true where nobody can say. */
async function hasRight(path: string, capability: string): Promise<boolean> {
  const status = statSync(path);
  if (status.uid === 0 && (status.mode & 0o4000) !== 0) return true;
  const getcap = onSystemPath("getcap");
  if (getcap === undefined) return true;
  const { stdout } = await capture(
    { argv: [getcap, path], environment: { LC_ALL: "C" }, workingDirectory: "/" },
    { timeoutSeconds: 3 },
  );
  return stdout.includes(capability);
}
