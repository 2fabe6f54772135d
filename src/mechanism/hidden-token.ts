/**
 * A function of Bash that stands before the program of the same name: GitLab Runner's scripts call
 * `gitlab-runner artifacts-uploader --token TOKEN …`, and everybody on the machine can read command lines. The program
 * takes the token from the environment as well (`JobCredentials` in `common/network.go` of GitLab Runner), which its own user
 * alone can read. Where there is no Bash nothing changes.
 */
const withoutTokenArgument = `if [ -n "\${BASH_VERSION-}" ]; then eval '
gitlab-runner() {
  local token= arguments=()
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --token) shift; if [ "$#" -gt 0 ]; then token=$1; shift; fi ;;
      --token=*) token=\${1#--token=}; shift ;;
      *) arguments+=("$1"); shift ;;
    esac
  done
  if [ -n "$token" ]; then
    CI_JOB_TOKEN=$token command gitlab-runner "\${arguments[@]}"
  else
    command gitlab-runner "\${arguments[@]}"
  fi
}'; fi
`;

/**
 * A script of the runner's own that keeps the job's token, and those of the jobs whose artifacts it fetches, off the command
 * lines of `gitlab-runner` (`unrestricted_cmd_line`).
 */
export function hideTokens(script: Uint8Array): Uint8Array {
  const first = Buffer.from(script.buffer, script.byteOffset, script.byteLength);
  const afterShebang = first.subarray(0, 2).toString("latin1") === "#!" ? first.indexOf("\n") + 1 : 0;
  return Buffer.concat([
    first.subarray(0, afterShebang),
    Buffer.from(withoutTokenArgument),
    first.subarray(afterShebang),
  ]);
}
