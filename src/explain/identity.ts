import { currentAccount, type Account } from "../account/account.ts";
import { readUidMin } from "../account/login-definitions.ts";
import { groupsOf, lookUpAccount } from "../account/lookup.ts";
import { decide } from "../auth/authorize.ts";
import type { RunAs } from "../auth/runas.ts";
import type { Config } from "../config/schema.ts";
import type { Job } from "../gitlab/job.ts";
import type { UserVariables } from "../gitlab/variables.ts";

/** As whom a job would run, and every reason; without an account it would not run. */
export interface ExplainedIdentity {
  readonly account: Account | undefined;
  /** RunAs could answer with another `data_dir`; that is not known here. */
  readonly reasons: readonly string[];
}

/** Who asks: what stands in for the ID token that a job would have. */
export interface Asked {
  readonly login: string;
  /** What RunAs would answer; undefined when nobody said. */
  readonly runAs: string | undefined;
  /** User id of the runner's account, which is not that of whoever asks. */
  readonly runnerId: number;
}

/**
 * Puts the question to the rules by which `jacamar-auth` decides, for a login instead of a verified token: nobody signed
 * it, so the answer is what would be, not what may be. The name service is asked, the site's RunAs script is not.
 */
export async function explainIdentity(
  config: Config,
  job: Job,
  variables: UserVariables,
  asked: Asked,
): Promise<ExplainedIdentity> {
  const { auth } = config;
  if (auth?.downscope === undefined) {
    const account = currentAccount();
    const why = "[auth] sets no downscope, so jacamar-auth runs no job; jacamar --no-auth runs it as its caller";
    if (account.uid !== 0) return { account, reasons: [why] };
    return { account: undefined, reasons: [why, "you are root, and no job runs as root"] };
  }
  const decision = await decide({
    claims: {
      userLogin: asked.login,
      userId: "0",
      userEmail: "",
      userIdentities: [],
      pipelineId: String(job.pipelineId),
      pipelineSource: variables.get("CI_PIPELINE_SOURCE")?.text ?? "push",
      jobId: job.id,
      texts: new Map(),
    },
    job,
    auth,
    wish: (name) => variables.get(name),
    accounts: { account: lookUpAccount, groups: groupsOf },
    runAs: auth.runas?.validation_script === undefined ? undefined : answerOf(asked.runAs),
    // Nothing is asked of GitLab here: name and token alone tell what they tell.
    accountKind: undefined,
    uidMin: readUidMin(),
    euid: asked.runnerId,
  });
  const reasons = decision.reasons.map(({ rule, verdict, detail }) => `${rule}: ${verdict}: ${detail}`);
  if (!decision.allowed) return { account: undefined, reasons };
  if (auth.downscope === "none") {
    return {
      account: currentAccount(),
      reasons: [...reasons, 'downscope is "none": it runs as the account of the runner'],
    };
  }
  return { account: decision.account, reasons };
}

function answerOf(name: string | undefined): RunAs {
  const known = { userMessage: undefined, scriptLog: "" };
  return () =>
    Promise.resolve(
      name === undefined
        ? {
            mapped: false,
            code: "runas_refused",
            detail: "the RunAs script decides; it is not asked here (--run-as NAME)",
            ...known,
          }
        : {
            mapped: true,
            username: name,
            dataDir: undefined,
            detail: `the RunAs script is taken to answer "${name}"`,
            ...known,
          },
    );
}
