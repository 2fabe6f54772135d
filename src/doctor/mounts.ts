import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";

/** A mounted file system (proc_pid_mountinfo(5)). */
export interface Mount {
  readonly point: string;
  readonly type: string;
  readonly source: string;
  /** Of the mount and of the file system: `ro`, `nosuid`, `noexec`, … */
  readonly options: ReadonlySet<string>;
}

/** The file system on which a path lies, or would lie once it is made. Undefined when the system does not say. */
export function mountOf(path: string, mountInfo = readMountInfo()): Mount | undefined {
  let place = path;
  while (place !== "/" && !existsSync(place)) place = dirname(place);
  return mountAt(realpathOr(place), parseMountInfo(mountInfo));
}

/** The mount that holds a path without symbolic links: the longest point counts, and of equal ones the last. */
export function mountAt(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const holds = mount.point === "/" || path === mount.point || path.startsWith(`${mount.point}/`);
    if (holds && mount.point.length >= (found?.point.length ?? 0)) found = mount;
  }
  return found;
}

export function parseMountInfo(text: string): Mount[] {
  return text.split("\n").flatMap((line): Mount[] => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , , point, options] = before.split(" ");
    const [type, source, superOptions] = after.split(" ");
    if (point === undefined || options === undefined || type === undefined) return [];
    return [
      {
        point: unescape(point),
        type,
        source: unescape(source ?? ""),
        options: new Set([...options.split(","), ...(superOptions ?? "").split(",")]),
      },
    ];
  });
}

/** Space, tab, line break and backslash are written as three octal digits. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function readMountInfo(): string {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return "";
  }
}

function realpathOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** File systems of another machine, which do not let a user give files to subordinate ids (facts/podman-on-hpc.md, 2.1). */
const networkTypes: Readonly<Record<string, string>> = {
  nfs: "NFS",
  nfs4: "NFS",
  lustre: "Lustre",
  gpfs: "GPFS",
  beegfs: "BeeGFS",
  ceph: "CephFS",
  afs: "AFS",
  cifs: "SMB",
  smb3: "SMB",
  panfs: "PanFS",
  wekafs: "WekaFS",
  "9p": "9P",
  orangefs: "OrangeFS",
  pvfs2: "PVFS",
  glusterfs: "GlusterFS",
};

/** The usual name of a file system that is reached over a network; undefined for a local one. */
export function networkName({ type }: Pick<Mount, "type">): string | undefined {
  const plain = type.startsWith("fuse.") ? type.slice("fuse.".length) : type;
  if (Object.hasOwn(networkTypes, plain)) return networkTypes[plain];
  return plain === "sshfs" ? "SSHFS" : undefined;
}
