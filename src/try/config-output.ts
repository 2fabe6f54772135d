import { boolean, nullish, object, record, safeParse, string } from "valibot";

const schema = object({
  builds_dir: nullish(string()),
  cache_dir: nullish(string()),
  builds_dir_is_shared: nullish(boolean()),
  hostname: nullish(string()),
  driver: nullish(object({ name: nullish(string()), version: nullish(string()) })),
  job_env: nullish(record(string(), string())),
  shell: nullish(string()),
});

/** What a driver's config stage printed (facts/gitlab-runner.md, 1.3). */
export interface ConfigOutput {
  readonly buildsDir: string;
  readonly cacheDir: string;
  readonly buildsDirIsShared: boolean;
  readonly hostname: string | undefined;
  readonly driverName: string | undefined;
  readonly driverVersion: string | undefined;
  readonly jobEnv: Readonly<Record<string, string>>;
  readonly shell: string;
}

/**
 * Reads the JSON that config printed. Null is the same as missing, unknown keys are ignored, nothing printed is no
 * settings at all. Returns a message when it cannot be used.
 */
export function readConfigOutput(output: string): ConfigOutput | { readonly problem: string } {
  let json: unknown;
  try {
    json = output === "" ? {} : JSON.parse(output);
  } catch (error) {
    return { problem: `error while parsing JSON output: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (Array.isArray(json)) return { problem: "error while parsing JSON output: it is a list, not an object" };
  const result = safeParse(schema, json);
  if (!result.success) {
    const [issue] = result.issues;
    const path = issue.path?.map((item) => String(item.key)).join(".") ?? "";
    return { problem: `error while parsing JSON output: ${path}: ${issue.message}` };
  }
  const { builds_dir, cache_dir, builds_dir_is_shared, hostname, driver, job_env, shell } = result.output;
  return {
    buildsDir: builds_dir ?? "",
    cacheDir: cache_dir ?? "",
    buildsDirIsShared: builds_dir_is_shared ?? false,
    hostname: hostname ?? undefined,
    driverName: driver?.name ?? undefined,
    driverVersion: driver?.version ?? undefined,
    jobEnv: job_env ?? {},
    shell: shell ?? "bash",
  };
}
