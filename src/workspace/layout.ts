import { JacamarError } from "../error/error.ts";
import type { Account } from "../account/account.ts";
import type { JobId } from "../gitlab/job.ts";
import type { Wish } from "../gitlab/variables.ts";
import { staticBuildsName } from "./static-builds.ts";

/**
 * Where a job's files are. All paths are absolute and without `.` or `..`; none of them is checked on disk.
 * The shape is Jacamar CI's (facts/jacamar.md, Directories).
 */
export interface Workspace {
  /** The user's directory that holds the three trees; see {@link baseDirectory}. */
  readonly base: string;
  /** The user's directory that holds the work trees: `base`, or what the user asked for with `CUSTOM_CI_BUILDS_DIR`. */
  readonly buildsBase: string;
  /** Root of the work trees of this job slot, or of this project (`static_builds_dir`): what GitLab Runner is told as `builds_dir`. */
  readonly buildsDir: string;
  /** Root of all caches: what GitLab Runner is told as `cache_dir`. */
  readonly cacheDir: string;
  /** Caches of this project. */
  readonly projectCacheDir: string;
  /** The work tree itself. */
  readonly projectDir: string;
  /** Scripts, credentials and exit statuses of this job. Containers of the job see it and can write to it. */
  readonly scriptsDir: string;
  /** State of this job that no container of it sees: it lies beside the scripts, not among them. */
  readonly privateDir: string;
}

export interface LayoutInput {
  readonly account: Pick<Account, "name" | "home">;
  /** `data_dir` of the configuration. */
  readonly dataDir: string;
  /** First characters of the runner's token, as the runner says. The user can change it. */
  readonly runnerShortToken: Wish | undefined;
  /** Number of the job slot, as the runner says. The user can change it. */
  readonly concurrentId: Wish | undefined;
  readonly projectSlug: string;
  readonly jobId: JobId;
  /** Root of the builds directory that the user asked for, where the administrator allows it. */
  readonly customBuildsDir: Wish | undefined;
  /** With `static_builds_dir`: whose work tree it is, in place of the slot. */
  readonly staticBuilds: StaticBuilds | undefined;
}

export interface StaticBuilds {
  readonly projectId: number;
  /** Number of the job among those of its project that the runner runs at once, as it says. The user can change it. */
  readonly concurrentProjectId: Wish | undefined;
}

const jobCount = /^[0-9]{1,9}$/;

/**
 * Decides where the job's files are.
 * Throws `runner_contract` for a token or slot that is not a plain name, `builds_dir_invalid` for a bad wish.
 */
export function layOut(input: LayoutInput): Workspace {
  const base = baseDirectory(input.dataDir, input.account);
  const token = plainName(input.runnerShortToken, "CI_RUNNER_SHORT_TOKEN", /^[A-Za-z0-9_-]{1,64}$/);
  const slot = plainName(input.concurrentId, "CI_CONCURRENT_ID", jobCount).padStart(3, "0");
  const buildsRoot = input.customBuildsDir ? customBuildsRoot(input.customBuildsDir, input.account) : `${base}/builds`;
  const buildsDir = `${buildsRoot}/${token}/${input.staticBuilds ? staticName(input.staticBuilds) : slot}`;
  const projectScripts = `${base}/scripts/${token}/${slot}/${plainPath(input.projectSlug)}`;
  return {
    base,
    buildsBase: input.customBuildsDir ? buildsRoot : base,
    buildsDir,
    cacheDir: `${base}/cache`,
    projectCacheDir: `${base}/cache/${input.projectSlug}`,
    projectDir: `${buildsDir}/${input.projectSlug}`,
    scriptsDir: `${projectScripts}/${input.jobId}`,
    privateDir: `${projectScripts}/${input.jobId}.private`,
  };
}

/** Throws `runner_contract` for a project without a number. */
function staticName({ projectId, concurrentProjectId }: StaticBuilds): string {
  const others = plainName(concurrentProjectId, "CI_CONCURRENT_PROJECT_ID", jobCount);
  if (Number.isSafeInteger(projectId) && projectId > 0) return staticBuildsName(projectId, Number(others));
  throw new JacamarError("runner_contract", "GitLab Runner gave no number of the project (job_info.project_id)");
}

/**
 * The user's own directory under `data_dir`: `$HOME` and `~` are the user's home; a path outside the home gets one
 * directory for each user (facts/jacamar.md, `data_dir`).
 */
export function baseDirectory(dataDir: string, account: Pick<Account, "name" | "home">): string {
  const home = account.home.replace(/(?<=.)\/+$/, "");
  const expanded = normalise(dataDir.replace(/^(\$HOME|\$\{HOME\}|~)(?=\/|$)/, () => home));
  const insideHome = home !== "/" && (expanded === home || expanded.startsWith(`${home}/`));
  return insideHome ? expanded : `${expanded === "/" ? "" : expanded}/${account.name}`;
}

function customBuildsRoot(wish: Wish, account: Pick<Account, "name" | "home">): string {
  const text = wish.text.trim();
  if (text === "") {
    throw new JacamarError("builds_dir_invalid", `The variable ${wish.name} is set, but empty`, {
      hint: `Give ${wish.name} an absolute path, or remove it.`,
    });
  }
  const expanded = text.replace(/^(\$HOME|\$\{HOME\}|~)(?=\/|$)/, () => account.home);
  if (!expanded.startsWith("/") || expanded.split("/").includes("..") || /[\n\r\0:]/.test(expanded)) {
    throw new JacamarError(
      "builds_dir_invalid",
      `The variable ${wish.name} holds ${JSON.stringify(wish.text.slice(0, 200))}, which cannot be a builds directory`,
      {
        hint: "It must be an absolute path without `..`, colons and line breaks.",
      },
    );
  }
  const root = normalise(expanded);
  if (root !== "/") return root;
  throw new JacamarError("builds_dir_invalid", `The variable ${wish.name} names the root of the file system`, {
    hint: "It must be a directory of your own.",
  });
}

/**
 * Our own directories hold nothing that a shell would read as more than a name: `gr%20oup` for `gr oup`. For every path
 * that GitLab allows it changes nothing.
 */
function plainPath(slug: string): string {
  const bytes = [...Buffer.from(slug)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_./-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  });
  return bytes.join("");
}

function normalise(path: string): string {
  return `/${path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/")}`;
}

function plainName(wish: Wish | undefined, name: string, allowed: RegExp): string {
  if (wish === undefined) {
    throw new JacamarError("runner_contract", `GitLab Runner gave no ${name}`);
  }
  if (!allowed.test(wish.text)) {
    throw new JacamarError(
      "variable_invalid",
      `The variable ${name} holds ${JSON.stringify(wish.text.slice(0, 100))}, which the runner never gives it`,
      {
        hint: `Remove ${name} from the variables of the job: the runner sets it.`,
      },
    );
  }
  return wish.text;
}
