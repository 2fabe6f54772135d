import { JacamarError } from "../../error/error.ts";

/** The name of an image in its parts, as the registries' grammar has them. */
export interface ImageName {
  /** As the user wrote it. */
  readonly written: string;
  /** With registry and path in full: `docker.io/library/debian:12` for `debian:12`. A tag is not added. */
  readonly qualified: string;
  /** Undefined for a short name, which may mean several registries on a machine. */
  readonly place: RegistryPath | undefined;
  readonly digest: string | undefined;
  /** All spellings of the same image that an allowlist's pattern may have in mind, the written one first. */
  readonly spellings: readonly string[];
}

/** Where an image is: `registry.example.com` and `group/app`. */
export interface RegistryPath {
  readonly registry: string;
  readonly path: string;
}

const longestName = 255;
const longestText = 600;
const pathPart = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const hostPart = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestForm = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;
/** What Podman takes for a file, a directory or another store, not for an image of a registry (containers-transports(5)). */
const transportForm =
  /^(?:atomic|containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|ostree|sif|tarball):/;

/**
 * Reads an image name by the grammar of the container registries (`reference` in the distribution project):
 * `[registry[:port]/]path[:tag][@digest]`. Everything else is refused: options, transports such as `docker-archive:/file`,
 * spaces, line breaks. A name without a registry means Docker Hub's, as for GitLab's own Docker executor.
 * Throws `image_name_invalid`.
 */
export function parseImageName(written: string): ImageName {
  if (written.length > longestText) throw invalid(written, `it has ${written.length} characters`);
  if (transportForm.test(written)) throw invalid(written, "Podman would not look for it in a registry");
  const [beforeDigest = "", digest, ...moreDigests] = written.split("@");
  if (moreDigests.length > 0 || (digest !== undefined && !digestForm.test(digest))) {
    throw invalid(written, "what follows @ is not a digest");
  }
  const lastSlash = beforeDigest.lastIndexOf("/");
  const colon = beforeDigest.indexOf(":", lastSlash + 1);
  const name = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon === -1 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !tagForm.test(tag)) throw invalid(written, "what follows the colon is not a tag");
  if (name.length > longestName) throw invalid(written, `its name has more than ${longestName} characters`);

  const { registry, path } = splitRegistry(name);
  if (registry !== undefined && !isHost(registry))
    throw invalid(written, "what stands before the first / is not a registry");
  if (!path.split("/").every((part) => pathPart.test(part))) {
    throw invalid(
      written,
      path === path.toLowerCase() ? "it has characters that no image name has" : "it has capital letters",
    );
  }

  const suffix = `${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
  const lowered = registry?.toLowerCase() ?? "docker.io";
  const host = lowered === "index.docker.io" ? "docker.io" : lowered;
  const fullPath = host === "docker.io" && !path.includes("/") ? `library/${path}` : path;
  const names = [`${host}/${fullPath}`];
  if (host === "docker.io") {
    // What lies deeper in `library/` is no official image: without that word it would be another one.
    const short = fullPath.replace(/^library\/(?=[^/]+$)/, "");
    // Without a registry a first part such as `registry.example.com` would be one.
    const bare = [short, fullPath].filter((text) => splitRegistry(text).registry === undefined);
    names.push(`docker.io/${short}`, ...bare);
  }
  const suffixes = suffix === "" ? ["", ":latest"] : suffix === ":latest" ? [":latest", ""] : [suffix];
  const spellings = new Set([written]);
  for (const each of names) for (const end of suffixes) spellings.add(each + end);
  const place = registry === undefined ? undefined : { registry: host, path: fullPath };
  return { written, qualified: `${host}/${fullPath}${suffix}`, place, digest, spellings: [...spellings] };
}

/** The first part is a registry when it looks like a host: a dot, a port, `localhost`, or a capital letter. */
function splitRegistry(name: string): { registry: string | undefined; path: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const isRegistry = first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
  return isRegistry ? { registry: first, path: name.slice(slash + 1) } : { registry: undefined, path: name };
}

function isHost(registry: string): boolean {
  // In lower case it would no longer look like a registry, and so be another image.
  if (!/[.:]/.test(registry) && registry.toLowerCase() !== "localhost") return false;
  const [host = "", port, ...more] = registry.split(":");
  if (more.length > 0 || (port !== undefined && !/^[0-9]{1,5}$/.test(port))) return false;
  return host.split(".").every((part) => hostPart.test(part));
}

function invalid(written: string, why: string): JacamarError {
  const shown = JSON.stringify(written.length > 100 ? `${written.slice(0, 100)}…` : written);
  return new JacamarError("image_name_invalid", `The image ${shown} is not the name of an image: ${why}`, {
    hint: "Write it as registry/path:tag, for example docker.io/library/debian:12.",
  });
}
