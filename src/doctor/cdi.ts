import * as v from "valibot";
import { parse } from "yaml";
import { readPlainFile } from "./plain-file.ts";

/** A specification of the Container Device Interface, as far as the checks ask. */
export interface CdiSpec {
  readonly file: string;
  /** `vendor.com/class` */
  readonly kind: string;
  readonly devices: readonly string[];
  /** Device files and mounted files of the host that it names. */
  readonly paths: readonly string[];
}

const edits = v.optional(
  v.nullable(
    v.object({
      deviceNodes: v.optional(v.nullable(v.array(v.object({ path: v.string(), hostPath: v.optional(v.string()) })))),
      mounts: v.optional(v.nullable(v.array(v.object({ hostPath: v.string() })))),
    }),
  ),
);
const schema = v.object({
  kind: v.string(),
  devices: v.optional(v.nullable(v.array(v.object({ name: v.string(), containerEdits: edits })))),
  containerEdits: edits,
});

/** Reads a specification in YAML or JSON, which is YAML. Otherwise the end of a sentence about the file. */
export function readSpec(file: string): CdiSpec | { readonly why: string } {
  const text = readPlainFile(file);
  if (text === undefined) return { why: "cannot be read, is no regular file, or is too large to be one" };
  let data: unknown;
  try {
    data = parse(text);
  } catch {
    return { why: "is neither YAML nor JSON" };
  }
  const parsed = v.safeParse(schema, data);
  if (!parsed.success) return { why: "is not as a specification must be" };
  const { kind, devices, containerEdits } = parsed.output;
  const all = [containerEdits, ...(devices ?? []).map((device) => device.containerEdits)];
  const paths = all.flatMap((each) => [
    ...(each?.deviceNodes ?? []).map(({ path, hostPath }) => hostPath ?? path),
    ...(each?.mounts ?? []).map(({ hostPath }) => hostPath),
  ]);
  return { file, kind, devices: (devices ?? []).map(({ name }) => name), paths: [...new Set(paths)] };
}
