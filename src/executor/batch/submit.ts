import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import type { CallScheduler, Scheduler, SchedulerId, Submission } from "./scheduler.ts";

const lookAgainMilliseconds = [0, 500, 1500, 3000];

/**
 * Submits a job. A submission without an answer may have been accepted: then the job is found by its name.
 * Throws `batch_refused` or `scheduler_unavailable`.
 */
export async function submitJob(
  submission: Submission,
  tools: { readonly scheduler: Scheduler; readonly call: CallScheduler; readonly userName: string },
): Promise<SchedulerId> {
  const { scheduler, call, userName } = tools;
  const submitted = await scheduler.submit(submission, call);
  if (submitted.kind === "accepted") return submitted.id;
  if (submitted.kind === "refused") {
    throw new JacamarError("batch_refused", `${scheduler.title} refused the job:\n${submitted.said}`, {
      hint: "Check the arguments that the job asks for: account, queue or partition, time, nodes.",
    });
  }
  for (const wait of lookAgainMilliseconds) {
    await pause(wait);
    const [id] = (await scheduler.find(submission.name, userName, call)) ?? [];
    if (id !== undefined) return id;
  }
  throw new JacamarError(
    "scheduler_unavailable",
    `${scheduler.title} did not say whether it has taken the job: ${submitted.said}`,
    { hint: "Retry the job. If it stays, show this line to the administrators." },
  );
}
