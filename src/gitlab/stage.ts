/**
 * Whose script a stage runs. `user`: what the user wrote. `runner`: what GitLab Runner generates around it (Git, cache,
 * artifacts), also every stage that this program has never heard of.
 */
export type StageOwner = "user" | "runner";

/** The name of a stage as the runner gives it. An open set: new runners bring new names. */
export interface Stage {
  readonly name: string;
  readonly owner: StageOwner;
  /** The combined before_script and script, or another step of the job: what a scheduler would be given. */
  readonly isStep: boolean;
  /** File name for the stage's script, free of anything that a path or a shell would read as more than a name. */
  readonly fileName: string;
}

/**
 * Sorts a stage by its name (facts/gitlab-runner.md, 1.6). The runner calls the user's script `build_script`, and says
 * that it will call it `step_script`; further steps are `step_<name>`.
 */
export function toStage(name: string): Stage {
  const isStep = name === "build_script" || name.startsWith("step_");
  return {
    name,
    owner: isStep || name === "after_script" ? "user" : "runner",
    isStep,
    fileName: fileName(name),
  };
}

function fileName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(name)) return name;
  const bytes = Buffer.from(name).toString("hex").slice(0, 100);
  return `stage-${bytes}`;
}
