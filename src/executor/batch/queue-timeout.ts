import { JacamarError } from "../../error/error.ts";
import { formatDuration } from "./job-watch.ts";

/** The failure of a job that has waited too long; it has been taken back. @param title as the log calls it. */
export function queueTimeout(title: string, seconds: number): JacamarError {
  return new JacamarError(
    "queue_timeout",
    `${title} waited longer than ${formatDuration(seconds * 1000)} in the queue, and was taken back`,
    {
      hint: "The administrator sets this limit with queue_timeout in [batch]. Retry the job when the queue is shorter.",
    },
  );
}
