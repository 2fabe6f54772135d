import { JacamarError } from "../error/error.ts";
import type { JobKey } from "../gitlab/job-key.ts";
import { jobLabel } from "../mechanism/podman/command.ts";
import { pause } from "../process/signals.ts";
import { failureText, type PodmanClient, succeeded } from "./client.ts";

const askSeconds = 60;
const removeAttempts = 5;
const notEnded = ["created", "initialized", "running", "paused"] as const;

/** Words that every Podman from 4.3 on takes for `--filter status=`. */
type ContainerState = "created" | "initialized" | "running" | "paused";

/** The ids of the job's containers, found by their label alone: all, or those in one of the states. */
export async function findContainers(
  podman: PodmanClient,
  key: JobKey,
  states: readonly ContainerState[] | "any",
): Promise<string[]> {
  const filters = states === "any" ? [] : states.flatMap((state) => ["--filter", `status=${state}`]);
  const answer = await podman.ask(
    ["ps", "--all", "--quiet", "--no-trunc", "--filter", `label=${jobLabel}=${key}`, ...filters],
    { timeoutSeconds: askSeconds },
  );
  if (!succeeded(answer.ending)) {
    throw new JacamarError("podman_failed", `Cannot list the job's containers: ${failureText(answer)}`);
  }
  return answer.stdout.split("\n").filter((line) => /^[0-9a-f]{64}$/.test(line));
}

/**
 * Ends and removes the job's containers and verifies that none is left: a client that was just killed may still be
 * making one. With `keepEnded` (`disable_container_removal`) those that have ended stay, as the administrator wants, and
 * those that run are ended. Returns how many were removed.
 * Throws `container_left` when one cannot be removed.
 */
export async function removeContainers(podman: PodmanClient, key: JobKey, keepEnded: boolean): Promise<number> {
  let removed = 0;
  let said = "";
  for (let attempt = 0; attempt < removeAttempts; attempt += 1) {
    if (keepEnded) {
      const running = await findContainers(podman, key, ["running"]);
      if (running.length > 0) await podman.ask(["stop", "--time", "0", ...running], { timeoutSeconds: askSeconds });
    }
    const found = await findContainers(podman, key, keepEnded ? notEnded : "any");
    if (found.length === 0) return removed;
    const how = ["rm", "--force", "--time", "0", "--volumes", "--ignore"];
    const answer = await podman.ask([...how, ...found], { timeoutSeconds: askSeconds });
    if (succeeded(answer.ending)) removed += found.length;
    else said = failureText(answer);
    await pause(attempt * 200);
  }
  const left = await findContainers(podman, key, keepEnded ? notEnded : "any");
  if (left.length === 0) return removed;
  throw new JacamarError(
    "container_left",
    `Cannot remove the job's container ${left.map((id) => id.slice(0, 12)).join(", ")}: ${said}`,
    {
      hint: `Remove it with: podman rm --force ${left.join(" ")}`,
    },
  );
}

/**
 * Sends SIGTERM to every process in a container but its first, which an ordinary shell would not heed. Returns whether
 * it arrived: the container may be gone, not yet there, or without a shell. Whoever calls this waits for the container's
 * end, and removes it if that does not come.
 */
export async function terminateInside(podman: PodmanClient, name: string, timeoutSeconds: number): Promise<boolean> {
  const answer = await podman.ask(["exec", "--user=0", name, "/bin/sh", "-c", "kill -TERM -1"], { timeoutSeconds });
  return succeeded(answer.ending);
}
