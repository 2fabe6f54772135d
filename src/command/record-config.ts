import type { Config } from "../config/schema.ts";
import type { Job } from "../gitlab/job.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import type { Measurements } from "../measure/measurements.ts";
import { endedStage, sayFailure } from "./record-stage.ts";

/** What a config stage knows from the beginning. */
export interface ConfigToRecord {
  readonly config: Config;
  readonly job: Job;
  readonly variables: UserVariables;
  readonly measure: Measurements;
  /** Of the account of this process, where that runs the jobs: another one's own record is not to be touched here. */
  readonly home: string | undefined;
}

/** What the config stage has decided on. */
export interface Configured {
  readonly account: string;
  /** The user's directory below `data_dir`. */
  readonly base: string;
}

/**
 * Does the config stage, and writes its line into the record, where the configuration has one.
 * Throws what the stage throws.
 */
export async function recordConfig(about: ConfigToRecord, work: () => Promise<Configured>): Promise<void> {
  let configured: Configured;
  try {
    configured = await work();
  } catch (error) {
    await write(about, undefined, error);
    throw error;
  }
  await write(about, configured, undefined);
}

async function write(about: ConfigToRecord, configured: Configured | undefined, error: unknown): Promise<void> {
  const { config, job, variables, measure, home } = about;
  const settings = config.record;
  if (settings === undefined) return;
  try {
    const { Recorder, placeOf } = await import("../record/recorder.ts");
    const place = placeOf(settings, { home, base: home === undefined ? undefined : configured?.base });
    if (place === undefined) return;
    const since = new Date(performance.timeOrigin);
    const recorder = new Recorder({ settings, place, key: undefined, since, stage: "config" });
    const whose = {
      job,
      key: undefined,
      account: configured?.account,
      runnerShortToken: variables.get("CI_RUNNER_SHORT_TOKEN")?.text,
      instance: config.general.name,
      executor: config.general.executor,
    };
    await recorder.write(whose, endedStage("config", measure, error));
  } catch (failure) {
    sayFailure("config", failure);
  }
}
