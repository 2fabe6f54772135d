import * as v from "valibot";
import { keysOf } from "../config/kinds.ts";
import { configSchema } from "../config/schema.ts";
import type { Machine } from "./machine.ts";

/** Whose account a job gets. `no-auth`: that of the runner, and nobody asks who started the job. */
export type Downscope = "setuid" | "sudo" | "none" | "no-auth";

/** All that a first configuration is made of. */
export interface Answers {
  readonly executor: string;
  readonly dataDir: string;
  readonly downscope: Downscope;
  readonly podman: boolean;
  /** Empty: the runner's stages run on the host. */
  readonly runnerImage: string;
  /** Empty only with `no-auth`. */
  readonly gitlabServer: string;
  /** Empty: the system's certificates. */
  readonly tlsCaFile: string;
  readonly tokenVariable: string;
}

/** What is taken where nobody says anything. */
export function suggested(machine: Machine): Answers {
  return {
    executor: machine.scheduler?.executor ?? "shell",
    dataDir: "$HOME/.jacamar-ci",
    downscope: machine.isRoot ? "setuid" : "no-auth",
    podman: machine.podman !== undefined,
    runnerImage: "",
    gitlabServer: machine.runner?.url ?? "",
    tlsCaFile: machine.runner?.tlsCaFile ?? "",
    tokenVariable: "SITE_ID_TOKEN",
  };
}

/** A question, in the order in which it is asked. */
export interface Question {
  readonly name: keyof Answers;
  readonly text: string;
  /** What was seen of it, in a few words; empty when nothing was. */
  readonly seen: (machine: Machine) => string;
  /** Whether it is asked at all, by the answers so far. */
  readonly applies: (answers: Answers) => boolean;
}

const always = () => true;
const nothingSeen = () => "";

export const questions: readonly Question[] = [
  {
    name: "executor",
    text: "Where do users' scripts run (shell: on this machine; slurm, flux, pbs, lsf: as a job of that scheduler)?",
    seen: ({ scheduler }) =>
      scheduler === undefined ? "no scheduler was found" : `${scheduler.program} is ${scheduler.path}`,
    applies: always,
  },
  {
    name: "downscope",
    text: "As whom (setuid or sudo: as the user who started the job; none or no-auth: as this account)?",
    seen: ({ isRoot, account }) => (isRoot ? "you are root" : `you are ${account}`),
    applies: always,
  },
  {
    name: "gitlabServer",
    text: "The address of GitLab?",
    seen: ({ runner }) => (runner?.url === undefined ? "" : `from ${runner.file}`),
    applies: ({ downscope }) => downscope !== "no-auth",
  },
  {
    name: "dataDir",
    text: "Where do the files of jobs go ($HOME is the home of the job's user; with a scheduler all nodes must see it)?",
    seen: nothingSeen,
    applies: always,
  },
  {
    name: "podman",
    text: "Do jobs that name an image run in rootless Podman (yes, no)?",
    seen: ({ podman }) => podman ?? "Podman was not found",
    applies: always,
  },
  {
    name: "runnerImage",
    text: "The image for Git, artifacts and caches (empty: on the host, where git and gitlab-runner must be installed)?",
    seen: nothingSeen,
    applies: ({ podman }) => podman,
  },
];

const keys: Readonly<Partial<Record<keyof Answers, readonly string[]>>> = {
  executor: ["general", "executor"],
  dataDir: ["general", "data_dir"],
  gitlabServer: ["general", "gitlab_server"],
  tlsCaFile: ["general", "tls-ca-file"],
  tokenVariable: ["general", "jwt_env_variable"],
  runnerImage: ["general", "podman", "runner_image"],
};
const mayBeEmpty: ReadonlySet<keyof Answers> = new Set(["runnerImage", "tlsCaFile"]);

/** The answer that a text is, or what is expected of it. */
export function readAnswer(
  name: keyof Answers,
  text: string,
): { readonly value: string | boolean } | { readonly expected: string } {
  if (name === "podman") {
    if (/^y(?:es)?$/i.test(text)) return { value: true };
    return /^no?$/i.test(text) ? { value: false } : { expected: "yes or no" };
  }
  if (name === "downscope") {
    return /^(?:setuid|sudo|none|no-auth)$/.test(text)
      ? { value: text }
      : { expected: "setuid, sudo, none or no-auth" };
  }
  if (text === "" && mayBeEmpty.has(name)) return { value: "" };
  let schema: v.GenericSchema | undefined = configSchema;
  for (const step of keys[name] ?? []) schema = schema && keysOf(schema)?.get(step);
  const result = schema && v.safeParse(schema, text);
  return result === undefined || result.success ? { value: text } : { expected: result.issues[0].message };
}
