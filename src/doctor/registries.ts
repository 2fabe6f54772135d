import { readdirSync } from "node:fs";
import { getCACertificates } from "node:tls";
import * as v from "valibot";
import { exampleOf } from "../check/pattern-example.ts";
import type { Config } from "../config/schema.ts";
import { readToml } from "../config/toml.ts";
import { readPlainFile } from "./plain-file.ts";

/** Where images of a registry are really asked for. */
export interface RegistryPlace {
  /** `host` or `host:port` */
  readonly host: string;
  /** Podman takes it without TLS, or with any certificate. */
  readonly insecure: boolean;
}

const registrySchema = v.object({
  registry: v.optional(
    v.array(
      v.object({
        prefix: v.optional(v.string()),
        location: v.optional(v.string()),
        insecure: v.optional(v.boolean(), false),
        mirror: v.optional(v.array(v.object({ location: v.string(), insecure: v.optional(v.boolean(), false) })), []),
      }),
    ),
    [],
  ),
});
export type RegistrySettings = v.InferOutput<typeof registrySchema>["registry"];

/** The registries that the configuration names: by its images, and by the hosts that `image_allowlist` begins with. */
export function registriesOf(config: Config): string[] {
  const { runner_image: runner, default_image: image, image_allowlist: patterns = [] } = config.general.podman ?? {};
  const names = [runner, image, ...patterns.map((pattern) => exampleOf(pattern)?.text)];
  return [...new Set(names.flatMap((name) => (name === undefined ? [] : hostOf(name))))];
}

/** The host of a full image name. A short name may mean any registry, and `localhost/` none. */
function hostOf(name: string): string[] {
  const [first = "", ...rest] = name.split("/");
  const isHost = rest.length > 0 && /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d+)?$/i.test(first) && /[.:]/.test(first);
  return isHost ? [first.toLowerCase()] : [];
}

/** Where Podman asks for images of a host, in its order (containers-registries.conf(5)). */
export function placesOf(host: string, settings: RegistrySettings): RegistryPlace[] {
  const matching = settings
    .filter(({ prefix, location }) => covers(prefix ?? location ?? "", host))
    .toSorted((a, b) => (b.prefix ?? b.location ?? "").length - (a.prefix ?? a.location ?? "").length);
  const [best] = matching;
  const own = { host: hostPart(best?.location ?? host), insecure: best?.insecure ?? false };
  const mirrors = (best?.mirror ?? []).map(({ location, insecure }) => ({ host: hostPart(location), insecure }));
  // A location without a port stands for all ports, as a prefix does.
  const place = own.host === host.replace(/:\d+$/, "") ? { ...own, host } : own;
  return [...mirrors, place.host === "docker.io" ? { ...place, host: "registry-1.docker.io" } : place];
}

function covers(prefix: string, host: string): boolean {
  const name = hostPart(prefix);
  if (name.startsWith("*.")) return host.endsWith(name.slice(1));
  return name === host || name === host.replace(/:\d+$/, "");
}

function hostPart(location: string): string {
  return (location.split("/")[0] ?? "").toLowerCase();
}

/** The settings of all registries.conf that count for a user. What cannot be understood Podman complains of itself. */
export function readRegistrySettings(configHome: string): RegistrySettings {
  const files = [`${configHome}/containers/registries.conf`, "/etc/containers/registries.conf"];
  const main = files.map(readPlainFile).find((text) => text !== undefined);
  const more = ["/etc/containers/registries.conf.d", `${configHome}/containers/registries.conf.d`].flatMap(
    (directory) =>
      namesIn(directory)
        .filter((name) => name.endsWith(".conf"))
        .map((name) => readPlainFile(`${directory}/${name}`)),
  );
  return [main, ...more].flatMap((text) => {
    const toml = text === undefined ? undefined : readToml(text);
    if (toml === undefined || "reason" in toml) return [];
    const parsed = v.safeParse(registrySchema, toml.table);
    return parsed.success ? parsed.output.registry : [];
  });
}

/** The certificates that Podman trusts for a host: the system's, and those of containers-certs.d(5). */
export function certificatesFor(host: string, configHome: string): string[] {
  const own = [`${configHome}/containers/certs.d`, "/etc/containers/certs.d", "/etc/docker/certs.d"].flatMap(
    (directory) =>
      namesIn(`${directory}/${host}`)
        .filter((name) => name.endsWith(".crt"))
        .flatMap((name) => readPlainFile(`${directory}/${host}/${name}`) ?? []),
  );
  return [...getCACertificates("system"), ...own];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch {
    return [];
  }
}
