import type { ExecutorName } from "../../config/schema.ts";
import type { Scheduler } from "./scheduler.ts";
import { flux } from "./flux.ts";
import { lsf } from "./lsf.ts";
import { pbs } from "./pbs.ts";
import { slurm } from "./slurm.ts";

/** The schedulers, by the name of their executor in the configuration. */
export const schedulers: Readonly<Partial<Record<ExecutorName, Scheduler>>> = {
  slurm,
  flux,
  pbs,
  lsf,
};
