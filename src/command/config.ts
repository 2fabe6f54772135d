import { createHash } from "node:crypto";
import { loadConfiguration } from "../config/load.ts";
import { toJobKey } from "../gitlab/job-key.ts";
import { writeWhole } from "../log/output.ts";
import { version } from "../version.ts";
import { layOut } from "../workspace/layout.ts";
import type { StageContext } from "./context.ts";
import { requireJob } from "./runner-files.ts";
import { packState } from "./state.ts";

/**
 * The config stage: checks the configuration, decides where the job's files are, and answers the runner on standard
 * output (facts/gitlab-runner.md, 1.3). It makes nothing.
 */
export async function runConfig(context: StageContext, configurationFile: string): Promise<void> {
  const config = await loadConfiguration(configurationFile);
  const job = requireJob(context.files);
  const workspace = layOut({
    account: context.account,
    dataDir: config.general.data_dir,
    runnerShortToken: context.variables.get("CI_RUNNER_SHORT_TOKEN"),
    concurrentId: context.variables.get("CI_CONCURRENT_ID"),
    projectSlug: job.projectSlug,
    jobId: job.id,
    customBuildsDir: config.general.custom_build_dir ? context.variables.get("CUSTOM_CI_BUILDS_DIR") : undefined,
  });
  const digest = createHash("sha256").update(job.token).digest("hex");
  const answer = {
    builds_dir: workspace.buildsDir,
    cache_dir: workspace.cacheDir,
    // The directories are told apart by runner and slot already.
    builds_dir_is_shared: false,
    shell: "bash",
    driver: { name: "Jacamar CI", version },
    job_env: packState({ config, workspace, jobKey: toJobKey(job.id, digest) }),
  };
  writeWhole(1, Buffer.from(`${JSON.stringify(answer)}\n`));
}
