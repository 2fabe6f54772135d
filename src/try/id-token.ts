import { randomUUID } from "node:crypto";
import { type JobFacts, serverVariables } from "./job-variables.ts";
import type { TokenServer } from "./token-server.ts";
import { expandValue, type Variable, variable } from "./variables.ts";

/** Seconds for which a token is valid before it was issued, as with GitLab. */
const earlySeconds = 5;

/** The masked variables with the ID tokens that the job asks for. They are valid until the job's time is over. */
export function idTokens(facts: JobFacts, server: Pick<TokenServer, "address" | "sign">, now: Date): Variable[] {
  const variables = serverVariables(facts);
  const expand = (text: string) => expandValue(text, variables, "");
  return facts.job.idTokens.map(({ name, audience }) => {
    const aud = typeof audience === "string" ? expand(audience) : audience.map(expand);
    return variable(name, server.sign(idTokenClaims(facts, server.address, aud, now)), { public: false, masked: true });
  });
}

/**
 * What GitLab says of a job in its ID token (docs.gitlab.com/ci/secrets/id_token_authentication, "Token payload"). Ids are
 * texts there. All of it is what the job response says.
 */
export function idTokenClaims(
  facts: JobFacts,
  issuer: string,
  audience: string | readonly string[],
  now: Date,
): Record<string, unknown> {
  const { pipeline } = facts;
  const { projectPath, sources, user } = pipeline;
  const issued = Math.floor(now.getTime() / 1000);
  const ref = sources?.ref ?? "main";
  const sha = sources?.sha ?? "0".repeat(40);
  return {
    namespace_id: "1",
    namespace_path: projectPath.split("/").slice(0, -1).join("/"),
    project_id: String(pipeline.projectId),
    project_path: projectPath,
    user_id: String(user.id),
    user_login: user.login,
    user_email: user.email,
    user_access_level: "maintainer",
    pipeline_id: String(pipeline.pipelineId),
    pipeline_source: "push",
    job_id: String(facts.jobId),
    ref,
    ref_type: "branch",
    ref_path: `refs/heads/${ref}`,
    ref_protected: "false",
    runner_id: 1,
    runner_environment: "self-hosted",
    sha,
    project_visibility: "private",
    ci_config_ref_uri: `gitlab.invalid/${projectPath}//${pipeline.configPath}@refs/heads/${ref}`,
    ci_config_sha: sha,
    jti: randomUUID(),
    iss: issuer,
    iat: issued,
    nbf: issued - earlySeconds,
    exp: issued + facts.timeoutSeconds,
    sub: `project_path:${projectPath}:ref_type:branch:ref:${ref}`,
    aud: audience,
  };
}
