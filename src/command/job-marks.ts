import type { Job } from "../gitlab/job.ts";
import type { JobMarks } from "../process/job-processes.ts";
import type { StageContext } from "./context.ts";
import { jobDirectories } from "./job-files.ts";
import { notedSessions } from "./sessions.ts";
import type { JobState } from "./state.ts";

/** By what the processes of the job are known; with its job response gone, by a little less. */
export function jobMarks(context: StageContext, { workspace }: JobState, job: Job | undefined): JobMarks {
  return {
    uid: context.account.uid,
    directories: jobDirectories(workspace),
    token: job?.token ?? "",
    sessions: notedSessions(workspace),
  };
}
