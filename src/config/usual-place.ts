/** Where the configuration of a machine's runner lies, unless a command is told otherwise. */
export const usualConfiguration = "/etc/gitlab-runner/jacamar.toml";
