import * as v from "valibot";
import { JacamarError } from "../error/error.ts";
import { canBeAlive, isJobLife } from "../gitlab/job-life.ts";
import { batchLabel, jobLabel, lifeLabel } from "../mechanism/podman/command.ts";
import { failureText, type PodmanClient, succeeded } from "../podman/client.ts";

/** A container that no living job has. */
export interface DeadContainer {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  /** What it has written, beside what it shares with its image; undefined where Podman does not say it soon. */
  readonly bytes: number | undefined;
}

const listSchema = v.array(
  v.object({
    Id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    Names: v.pipe(v.array(v.string()), v.minLength(1)),
    State: v.string(),
    Labels: v.nullable(v.record(v.string(), v.string())),
  }),
);

export interface ContainerSearch {
  /** Containers that have ended stay, as the administrator wants (`disable_container_removal`). */
  readonly keepEnded: boolean;
  /** Number of a job of the scheduler that is over: then its containers, and no others. */
  readonly batchJob: string | undefined;
  readonly nowSeconds: number;
}

/** The user's containers of dead jobs. One whose labels do not tell is not ours to judge. Throws `podman_failed`. */
export async function findDeadContainers(podman: PodmanClient, search: ContainerSearch): Promise<DeadContainer[]> {
  const filter = search.batchJob === undefined ? jobLabel : `${batchLabel}=${search.batchJob}`;
  const answer = await podman.ask(["ps", "--all", "--filter", `label=${filter}`, "--format", "json"], {
    timeoutSeconds: 60,
  });
  if (!succeeded(answer.ending)) {
    throw new JacamarError("podman_failed", `Cannot list the containers of jobs: ${failureText(answer)}`);
  }
  const found: DeadContainer[] = [];
  for (const { Id, Names, State, Labels } of parse(answer.stdout)) {
    if (search.keepEnded && /^(?:exited|stopped|dead)$/i.test(State)) continue;
    const life = Labels?.[lifeLabel];
    const isDead = search.batchJob !== undefined || (isJobLife(life) && !canBeAlive(life, search.nowSeconds));
    const label = search.batchJob === undefined ? `${lifeLabel}=${life}` : filter;
    if (isDead && (await isLabelledByUs(podman, Id, label))) {
      // An epilog holds up the node.
      const bytes = search.batchJob === undefined ? await bytesWritten(podman, Id) : undefined;
      found.push({ id: Id, name: Names[0] ?? "", state: State, bytes });
    }
  }
  return found;
}

/**
 * Whether a container was made with that label. It also has the labels of its image, and whoever made that could have any
 * container of it taken for a dead job's. One that is gone meanwhile was not.
 */
async function isLabelledByUs(podman: PodmanClient, id: string, label: string): Promise<boolean> {
  const format = "{{json .Config.CreateCommand}}";
  const answer = await podman.ask(["container", "inspect", "--format", format, id], { timeoutSeconds: 60 });
  if (!succeeded(answer.ending)) return false;
  const command = v.safeParse(v.array(v.string()), readJson(answer.stdout));
  return command.success && command.output.some((word, at, all) => word === label && all[at - 1] === "--label");
}

async function bytesWritten(podman: PodmanClient, id: string): Promise<number | undefined> {
  const argv = ["container", "inspect", "--size", "--format", "{{json .SizeRw}}", id];
  // With the driver vfs, Podman walks through all its files.
  const answer = await podman.ask(argv, { timeoutSeconds: 10 });
  const told = v.safeParse(v.number(), succeeded(answer.ending) ? readJson(answer.stdout) : undefined);
  return told.success ? told.output : undefined;
}

/** Removes a container, running or not. Throws `container_left`. */
export async function removeContainer(podman: PodmanClient, { id, name }: DeadContainer): Promise<void> {
  const how = ["rm", "--force", "--time", "0", "--volumes", "--ignore"];
  const answer = await podman.ask([...how, id], { timeoutSeconds: 120 });
  if (succeeded(answer.ending)) return;
  throw new JacamarError("container_left", `Cannot remove the container ${name}: ${failureText(answer)}`, {
    hint: `Remove it with: podman rm --force ${id}`,
  });
}

function parse(text: string): v.InferOutput<typeof listSchema> {
  const parsed = v.safeParse(listSchema, readJson(text === "" ? "[]" : text));
  if (parsed.success) return parsed.output;
  throw new JacamarError("podman_failed", "Podman's list of containers cannot be understood");
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
