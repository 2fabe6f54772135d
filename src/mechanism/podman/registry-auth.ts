import * as v from "valibot";
import { JacamarError } from "../../error/error.ts";
import type { Job } from "../../gitlab/job.ts";
import type { Wish } from "../../gitlab/variables.ts";

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

/**
 * Joins the credentials that a job has for registries, the user's own before those that GitLab gave with the job:
 * `DOCKER_AUTH_CONFIG`, the job response's credentials, then the project's registry (`CI_REGISTRY`) with the job token.
 * The result is secret. Throws `registry_auth_invalid`; the message quotes nothing of it.
 */
export function joinRegistryAuth(job: Job, dockerAuthConfig: Wish | undefined): RegistryAuth {
  const auths = new Map<string, { auth?: string }>();
  const registry = job.variables.find((variable) => variable.key === "CI_REGISTRY")?.value;
  if (registry !== undefined && registry !== "" && job.token !== "") {
    auths.set(registryKey(registry), basicAuth("gitlab-ci-token", job.token));
  }
  for (const { url, username, password } of job.credentials) {
    auths.set(registryKey(url), basicAuth(username, password));
  }
  const own = dockerAuthConfig && dockerAuthConfig.text.trim() !== "" ? parseConfig(dockerAuthConfig) : undefined;
  for (const [url, entry] of Object.entries(own?.auths ?? {})) {
    const { auth, username, password } = entry;
    if (auth !== undefined) auths.set(registryKey(url), { auth });
    else if (username !== undefined && password !== undefined)
      auths.set(registryKey(url), basicAuth(username, password));
  }
  return {
    auths: Object.fromEntries(auths),
    ...(own?.credHelpers ? { credHelpers: own.credHelpers } : {}),
  };
}

/**
 * Checks a whole file of credentials that a user gives (`REGISTRY_AUTH_FILE`): Podman's own message on a damaged one looks
 * like a failure of the registry. Throws `registry_auth_invalid`; the message quotes nothing of it.
 */
export function checkRegistryAuth(given: Wish): void {
  parseConfig(given);
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
