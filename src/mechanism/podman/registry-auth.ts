import * as v from "valibot";
import { JacamarError } from "../../error/error.ts";
import type { Job } from "../../gitlab/job.ts";
import type { Wish } from "../../gitlab/variables.ts";
import type { RegistryPath } from "./image-name.ts";

/** The form of `auth.json` (containers-auth.json(5)). */
export interface RegistryAuth {
  readonly auths: Readonly<Record<string, { readonly auth?: string }>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

const configSchema = v.object({
  auths: v.optional(
    v.record(
      v.string(),
      v.object({ auth: v.optional(v.string()), username: v.optional(v.string()), password: v.optional(v.string()) }),
    ),
    {},
  ),
  // Podman starts `docker-credential-<name>` on this machine: a name, never a path.
  credHelpers: v.optional(v.record(v.string(), v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/)))),
});

/** What is known of the credentials that a job has. Nothing of it is secret. */
export interface CredentialSources {
  /** The CI variable into which the user can put more. */
  readonly variable: "DOCKER_AUTH_CONFIG" | "REGISTRY_AUTH_FILE";
  /** For a registry, or a path in one, the CI variable that its credentials come from; `gitlabsOwn` for what GitLab gave. */
  readonly of: ReadonlyMap<string, string>;
}

/** Stands for the credentials that GitLab sent with the job, and for the job's token. */
export const gitlabsOwn = "GitLab";

/**
 * Joins the credentials that a job has for registries, the user's own before those that GitLab gave with the job:
 * `DOCKER_AUTH_CONFIG`, the job response's credentials, then the project's registry (`CI_REGISTRY`) with the job token.
 * The result is secret, but for `sources`. Throws `registry_auth_invalid`; the message quotes nothing of it.
 */
export function joinRegistryAuth(
  job: Job,
  dockerAuthConfig: Wish | undefined,
): { auth: RegistryAuth; sources: CredentialSources } {
  const auths = new Map<string, { auth?: string }>();
  const sources = new Map<string, string>();
  const add = (key: string, auth: { auth?: string }, source: string) => {
    auths.set(key, auth);
    sources.set(key, source);
  };
  const registry = job.variables.find((variable) => variable.key === "CI_REGISTRY")?.value;
  if (registry !== undefined && registry !== "" && job.token !== "") {
    add(registryKey(registry), basicAuth("gitlab-ci-token", job.token), gitlabsOwn);
  }
  for (const { url, username, password } of job.credentials) {
    add(registryKey(url), basicAuth(username, password), gitlabsOwn);
  }
  const own = dockerAuthConfig && dockerAuthConfig.text.trim() !== "" ? parseConfig(dockerAuthConfig) : undefined;
  for (const [url, entry] of Object.entries(own?.auths ?? {})) {
    const { auth, username, password } = entry;
    if (auth !== undefined) add(registryKey(url), { auth }, "DOCKER_AUTH_CONFIG");
    else if (username !== undefined && password !== undefined)
      add(registryKey(url), basicAuth(username, password), "DOCKER_AUTH_CONFIG");
  }
  for (const registryOfHelper of Object.keys(own?.credHelpers ?? {}))
    sources.set(registryOfHelper, "DOCKER_AUTH_CONFIG");
  return {
    auth: { auths: Object.fromEntries(auths), ...(own?.credHelpers ? { credHelpers: own.credHelpers } : {}) },
    sources: { variable: "DOCKER_AUTH_CONFIG", of: sources },
  };
}

/**
 * Checks a whole file of credentials that a user gives (`REGISTRY_AUTH_FILE`): Podman's own message on a damaged one looks
 * like a failure of the registry. Throws `registry_auth_invalid`; the message quotes nothing of it.
 */
export function checkRegistryAuth(given: RegistryAuthFile): CredentialSources {
  const { auths, credHelpers } = parseConfig(given);
  const registries = [...Object.keys(auths).map(registryKey), ...Object.keys(credHelpers ?? {})];
  return { variable: given.name, of: new Map(registries.map((key) => [key, given.name])) };
}

/** What a user gives in place of all other credentials. */
export interface RegistryAuthFile extends Wish {
  readonly name: "REGISTRY_AUTH_FILE";
}

/** Whether a registry was given credentials when it refused an image. */
export interface UsedCredentials {
  readonly registry: string;
  /** Where they came from, as in {@link CredentialSources}; undefined: there were none. */
  readonly source: string | undefined;
  /** The CI variable into which the user can put others. */
  readonly variable: CredentialSources["variable"];
}

/** Which credentials Podman gives for an image: those of the longest path that is its beginning (containers-auth.json(5)). */
export function usedCredentials(
  { of, variable }: CredentialSources,
  { registry, path }: RegistryPath,
): UsedCredentials {
  const parts = path.split("/");
  for (let length = parts.length; length >= 0; length -= 1) {
    const source = of.get([registry, ...parts.slice(0, length)].join("/"));
    if (source !== undefined) return { registry, source, variable };
  }
  return { registry, source: undefined, variable };
}

function parseConfig(wish: Wish): v.InferOutput<typeof configSchema> {
  let data: unknown;
  try {
    data = JSON.parse(wish.text);
  } catch {
    throw invalid(wish, "it is not JSON");
  }
  const parsed = v.safeParse(configSchema, data);
  if (!parsed.success) throw invalid(wish, "it has not the form of Docker's config.json");
  return parsed.output;
}

/** Docker writes `https://index.docker.io/v1/` where Podman looks for `docker.io`; hosts are without scheme. */
function registryKey(url: string): string {
  const bare = url
    .replace(/^https?:\/\//, "")
    .replace(/\/v[12]\/?$/, "")
    .replace(/\/+$/, "");
  const slash = bare.indexOf("/");
  const host = (slash === -1 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash === -1 ? "" : bare.slice(slash);
  return `${host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host}${path}`;
}

function basicAuth(username: string, password: string): { auth: string } {
  return { auth: Buffer.from(`${username}:${password}`).toString("base64") };
}

function invalid(wish: Wish, why: string): JacamarError {
  return new JacamarError(
    "registry_auth_invalid",
    `The variable ${wish.name} cannot be used as registry credentials: ${why}`,
    {
      hint: `Its form is {"auths":{"registry.example.com":{"auth":"<base64 of user:password>"}}}.`,
    },
  );
}
