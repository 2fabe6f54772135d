/**
 * The lines that a job needs in `.gitlab-ci.yml` to get an ID token, as they stand inside the job.
 *
 * @param variable `jwt_env_variable`, a variable name
 * @param audience `jwt_required_aud`, or the server's address where the administrator does not ask for one
 */
export function idTokenHint(variable: string, audience: string): string {
  // A JSON string is a YAML string, whatever is in it.
  return `  id_tokens:\n    ${variable}:\n      aud: ${JSON.stringify(audience)}\n`;
}
