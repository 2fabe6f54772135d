import { writeFileSync, mkdtempSync, rmSync, existsSync } from "node:fs";
import { dirname } from "node:path";
import { capture } from "../../process/capture.ts";
import { asUser, defineCheck, type Finding, outcomeOf, type Report, skipped } from "../check.ts";
import { type Mount, mountOf, networkName } from "../mounts.ts";
import { onSystemPath } from "../../process/program-path.ts";

type Name = "storage-network" | "storage-noexec" | "storage-nodev" | "storage-read-only" | "storage-no-xattr";

export const storagePlace = defineCheck<Name>({
  name: "storage-place",
  looksAt: "The file system under the image store: local or over the network, how it is mounted, extended attributes.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "image_pull_failed", "image_archive_failed"],
  entries: {
    "storage-network": {
      level: "wrong",
      means: "The image store lies on NFS, Lustre, GPFS or another file system of other machines.",
      why: "Unpacking an image gives files to subordinate ids, which the server does not know and refuses; overlay does not work on it, and locks are slow or none. Homes are such a place on most clusters.",
      todo: 'Move the stores to a local disk, in `/etc/containers/storage.conf` for all users: `rootless_storage_path = "/local/containers/$USER"`.',
    },
    "storage-noexec": {
      level: "wrong",
      means: "The file system under the image store is mounted `noexec`.",
      why: "No program of an image can be started from it.",
      todo: "Move the store with `rootless_storage_path`, or mount the file system without `noexec`.",
    },
    "storage-nodev": {
      level: "warning",
      means: "The file system under the image store is mounted `nodev`.",
      why: "Device files in images do not work. Most images have none.",
      todo: "Nothing, until an image needs it.",
    },
    "storage-read-only": {
      level: "wrong",
      means: "The file system under the image store is mounted read-only.",
      why: "No image can be pulled. A disk with errors is often mounted so.",
      todo: "Look into the kernel's log (`dmesg`), and mount it for writing, or move the store.",
    },
    "storage-no-xattr": {
      level: "wrong",
      means: "The file system under the image store has no extended attributes.",
      why: "overlay keeps what was removed in them, and images with file capabilities cannot be unpacked.",
      todo: "Move the store with `rootless_storage_path` to another file system.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const podman = await subject.podman();
    if (podman.kind === "missing") return skipped("there is no Podman");
    const place = podman.info?.store.graphRoot;
    const root = podman.firstUse || place === undefined ? podman.storage.graphRoot : place;
    const mount = mountOf(root);
    if (mount === undefined) return skipped("the system does not say what is mounted");
    const findings = judgeMount(root, mount, report);
    if (findings.length === 0 && !(await hasAttributes(root))) {
      const text = `${root} lies on ${mount.type}, which has no extended attributes`;
      findings.push(
        report("storage-no-xattr", text, "ask the administrator for a place for image stores on a local disk", move()),
      );
    }
    return outcomeOf(findings, `${root} on ${mount.type}`);
  },
});

/** What is wrong with the file system under a store, by how it is mounted. */
export function judgeMount(root: string, mount: Mount, report: Report<Name>): Finding[] {
  const { options } = mount;
  const findings: Finding[] = [];
  const advice = "ask the administrator for a place for image stores on a local disk";
  const network = networkName(mount);
  if (network !== undefined) {
    findings.push(
      report(
        "storage-network",
        `the image store ${root} lies on ${network}, where images cannot be unpacked`,
        advice,
        move(),
      ),
    );
  }
  if (options.has("noexec")) {
    findings.push(
      report(
        "storage-noexec",
        `${root} lies on a file system that is mounted noexec: no program of an image starts`,
        advice,
        move(),
      ),
    );
  }
  if (options.has("ro")) {
    findings.push(report("storage-read-only", `${root} lies on a file system that is mounted read-only`, advice));
  }
  if (options.has("nodev") && network === undefined && !options.has("noexec")) {
    findings.push(
      report(
        "storage-nodev",
        `${root} lies on a file system that is mounted nodev: device files of images do not work`,
        "that is fine for most images",
      ),
    );
  }
  return findings;
}

function move() {
  return asUser(
    `mkdir -p ~/.config/containers && printf '[storage]\\ndriver = "overlay"\\nrootless_storage_path = "/LOCAL-DISK/containers/$USER"\\n' > ~/.config/containers/storage.conf`,
  );
}

/** Tries one. True where no tool can try. */
async function hasAttributes(path: string): Promise<boolean> {
  const tar = onSystemPath("tar");
  let place = path;
  while (!existsSync(place) && place !== "/") place = dirname(place);
  let directory: string | undefined;
  try {
    directory = mkdtempSync(`${place}/.jacamar-doctor-`);
    writeFileSync(`${directory}/archive`, archiveWithAttribute());
    if (tar === undefined) return true;
    const { stderr } = await capture(
      {
        argv: [tar, "--xattrs", "--xattrs-include=user.*", "-xf", "archive"],
        environment: { LC_ALL: "C" },
        workingDirectory: directory,
      },
      { timeoutSeconds: 3 },
    );
    return !/Cannot set '?user\.jacamar/.test(stderr) && !/setxattr.*not supported/i.test(stderr);
  } catch {
    // What cannot be written there is somebody else's finding.
    return true;
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** A tar archive of one empty file with the attribute `user.jacamar` (pax, star's SCHILY.xattr), since Node sets none itself. */
function archiveWithAttribute(): Buffer {
  const entry = paxRecord("SCHILY.xattr.user.jacamar", "x");
  const body = Buffer.alloc(512);
  body.write(entry);
  return Buffer.concat([header("pax", entry.length, "x"), body, header("file", 0, "0"), Buffer.alloc(1024)]);
}

/** `LENGTH NAME=VALUE` and a line feed; the length counts itself. */
function paxRecord(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`;
  const digits = String(rest.length + 2).length;
  return `${rest.length + digits}${rest}`;
}

function header(name: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, "0")}\0`;
  block.write(name, 0);
  block.write(octal(0o600, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write("        ", 148);
  block.write(type, 156);
  block.write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
