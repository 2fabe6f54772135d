import type { ReadyFilter } from "../seccomp/prepare.ts";
import type { Identity } from "./state.ts";

/**
 * The filter on system calls that the identity carries, ready to be loaded; undefined without one. Its code is read only for a job that
 * has one. Throws `config_invalid` or `downscope_failed`.
 */
export async function readyFilter(
  identity: Pick<Identity, "uid" | "gid" | "noNewPrivs" | "callFilter">,
): Promise<ReadyFilter | undefined> {
  if (identity.callFilter === undefined) return undefined;
  const { prepareFilter } = await import("../seccomp/prepare.ts");
  return prepareFilter(identity.callFilter, identity);
}
