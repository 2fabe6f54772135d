import { JacamarError } from "../../error/error.ts";
import type { Wish } from "../../gitlab/variables.ts";

/** A directory or file of the host that a container sees. */
export interface Volume {
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

/** A volume that a user asks for. */
export interface VolumeWish extends Wish {
  /** What the user has written, where the runner has made another text of it by putting variables in. */
  readonly written?: string | undefined;
}

/** Options of `podman run --volume` for a directory of the host that a user may ask for (podman-run(1)). */
const knownOptions = new Set([
  "ro",
  "rw",
  "z",
  "Z",
  "U",
  "O",
  "exec",
  "noexec",
  "nosuid",
  "nodev",
  "private",
  "rprivate",
  "shared",
  "rshared",
  "slave",
  "rslave",
  "unbindable",
  "runbindable",
  "bind",
  "rbind",
  "copy",
  "nocopy",
]);

const mostVolumes = 100;

/**
 * Reads the volumes that a user asks for, one a variable: `source:target[:options]`.
 *
 * @param taken paths inside the container that are the driver's.
 * Throws `volume_invalid`, naming the variable and the reason.
 */
export function parseVolumes(wishes: readonly VolumeWish[], taken: readonly string[]): Volume[] {
  if (wishes.length > mostVolumes) {
    throw new JacamarError(
      "volume_invalid",
      `The job has ${wishes.length} volume variables (${wishes[0]?.name}, …); at most ${mostVolumes} are allowed`,
    );
  }
  const targets = new Map<string, string>(taken.map((path) => [path, "the job itself"]));
  return wishes.map((wish) => {
    const volume = parseVolume(wish);
    const other = targets.get(volume.target);
    if (other !== undefined) throw invalid(wish, `its target "${volume.target}" is taken by ${other}`);
    targets.set(volume.target, wish.name);
    return volume;
  });
}

/** The argument of `--volume` for a volume. */
export function volumeArgument(volume: Volume): string {
  const options = volume.options.length === 0 ? "" : `:${volume.options.join(",")}`;
  return `${volume.source}:${volume.target}${options}`;
}

function parseVolume(wish: VolumeWish): Volume {
  // A trailing line break comes with variables that were pasted; any other is refused below.
  const parts = wish.text.trim().split(":");
  const [source = "", writtenTarget = "", optionList] = parts;
  if (parts.length === 1 && source === "") throw invalid(wish, "it is empty");
  if (parts.length > 3) throw invalid(wish, "it has more than two colons");
  if (parts.length < 2) throw invalid(wish, "it has no colon between source and target");
  checkPath(wish, "source", source);
  checkPath(wish, "target", writtenTarget);
  const target = trimSlashes(writtenTarget);
  if (target === "/" || /^\/(?:proc|sys|dev)(?:\/|$)/.test(target))
    throw invalid(wish, `its target "${target}" is the system's`);
  const options = optionList === undefined ? [] : optionList.split(",");
  for (const option of options) {
    if (!knownOptions.has(option))
      throw invalid(wish, `its option ${JSON.stringify(option.slice(0, 50))} is not allowed`);
  }
  return { source: trimSlashes(source), target, options };
}

function checkPath(wish: VolumeWish, which: "source" | "target", path: string): void {
  if (path === "") throw invalid(wish, `it has no ${which}`);
  const shown = JSON.stringify(path.slice(0, 200));
  if (!path.startsWith("/")) throw invalid(wish, `its ${which} ${shown} is not an absolute path`);
  if (path.split("/").some((part) => part === ".." || part === "."))
    throw invalid(wish, `its ${which} ${shown} has a part "." or ".."`);
  if (/[\n\r\0]/.test(path)) throw invalid(wish, `its ${which} has a line break`);
  if (path.length > 4095) throw invalid(wish, `its ${which} has ${path.length} characters`);
}

function trimSlashes(path: string): string {
  return path.replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
}

/** Says in one way which volume variable cannot be used, and why. */
export function invalidVolume({ name, written }: Omit<VolumeWish, "text">, why: string): JacamarError {
  const made = written === undefined ? "" : `; GitLab has made it of ${JSON.stringify(written.slice(0, 200))}`;
  const shell =
    written === undefined
      ? ""
      : " GitLab puts nothing in for a variable that it does not know, such as $HOME: write the path.";
  return new JacamarError("volume_invalid", `The volume variable ${name} cannot be used: ${why}${made}`, {
    hint: `Write it as /path/on/the/host:/path/in/the/container, optionally with :ro at its end.${shell}`,
  });
}

function invalid(wish: VolumeWish, why: string): JacamarError {
  return invalidVolume(wish, why);
}
