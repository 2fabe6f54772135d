import {
  boolean,
  type InferOutput,
  nullish,
  object,
  optional,
  pipe,
  record,
  safeParse,
  string,
  transform,
} from "valibot";

const text = pipe(
  nullish(string()),
  transform((value) => value ?? undefined),
);

/** The JSON that a driver's config stage prints; null is the same as nothing, unknown keys are ignored. */
const schema = object({
  builds_dir: text,
  cache_dir: text,
  builds_dir_is_shared: pipe(
    nullish(boolean()),
    transform((value) => value ?? false),
  ),
  hostname: text,
  driver: nullish(object({ name: text, version: text })),
  job_env: pipe(
    nullish(record(string(), string())),
    transform((value) => value ?? {}),
  ),
  shell: optional(text),
});

export type ConfigOutput = InferOutput<typeof schema>;

/** Reads what config printed. Nothing printed is no settings at all. Returns a message when it is not usable. */
export function readConfigOutput(output: string): ConfigOutput | { readonly problem: string } {
  let json: unknown;
  try {
    json = output === "" ? {} : JSON.parse(output);
  } catch (error) {
    return { problem: `error while parsing JSON output: ${error instanceof Error ? error.message : String(error)}` };
  }
  const result = safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = issue.path?.map((item) => String(item.key)).join(".") ?? "";
  return { problem: `error while parsing JSON output: ${path}: ${issue.message}` };
}
