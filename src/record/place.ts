import type { Config } from "../config/schema.ts";

type RecordConfig = NonNullable<Config["record"]>;

/** Where the record of a job goes. `own`: whether it is the user's own file, which is opened as the user. */
export type Place =
  | { readonly kind: "syslog" | "journald" }
  | { readonly kind: "file"; readonly path: string; readonly own: boolean };

/**
 * Where the configuration wants the record. Nothing is touched.
 *
 * @param home of the job's account; without one, `$HOME` and `$DATA_DIR` are nowhere, which is undefined.
 * @param base the user's directory below `data_dir`.
 */
export function placeOf(
  { location }: Pick<RecordConfig, "location">,
  { home, base }: { readonly home: string | undefined; readonly base: string | undefined },
): Place | undefined {
  if (location === "syslog" || location === "journald") return { kind: location };
  const [, start, rest] = /^(\$HOME|~|\$DATA_DIR|)(\/.*)$/s.exec(location) ?? [];
  if (start === undefined || rest === undefined) throw new Error("a location that the schema should have refused");
  if (start === "") return { kind: "file", path: rest, own: false };
  const root = start === "$DATA_DIR" ? base : home;
  return root === undefined ? undefined : { kind: "file", path: `${root.replace(/\/+$/, "")}${rest}`, own: true };
}
