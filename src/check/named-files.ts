import type { Path } from "../config/inspect.ts";
import type { CheckSubject } from "./rule.ts";

/** A file that the configuration names, and what it is needed for. */
export interface NamedFile {
  readonly path: string;
  readonly key: Path;
  readonly kind: "program" | "script" | "certificates";
  /** Who can do what, when they can exchange it. */
  readonly risk: string;
}

/** A program of each scheduler that this one calls for every job. */
const submitPrograms: Readonly<Record<string, string>> = { slurm: "sbatch", flux: "flux", pbs: "qsub", lsf: "bsub" };

/** Every file that the configuration names, but the RunAs script, which has a rule of its own. */
export function namedFiles({ config }: CheckSubject): NamedFile[] {
  const { general, auth, batch } = config;
  const submit = submitPrograms[general.executor];
  const whoRuns = "runs code as every user who has a job";
  const all: readonly (readonly [string | undefined, Path, NamedFile["kind"], string])[] = [
    [general.shell_path, ["general", "shell_path"], "program", whoRuns],
    [general["tls-ca-file"], ["general", "tls-ca-file"], "certificates", "can pass for the GitLab server"],
    ...(submit === undefined || batch.scheduler_bin === undefined
      ? []
      : ([[`${batch.scheduler_bin}/${submit}`, ["batch", "scheduler_bin"], "program", whoRuns]] as const)),
    ...(general.run_mechanism === "podman"
      ? ([
          [general.podman.application_path, ["general", "podman", "application_path"], "program", whoRuns],
          [general.podman.prep_script, ["general", "podman", "prep_script"], "script", whoRuns],
        ] as const)
      : []),
    ...(auth?.downscope === "sudo"
      ? ([[auth.jacamar_path, ["auth", "jacamar_path"], "program", whoRuns]] as const)
      : []),
  ];
  return all.flatMap(([path, key, kind, risk]) => (path === undefined ? [] : [{ path, key, kind, risk }]));
}
