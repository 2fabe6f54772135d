import { JacamarError } from "../error/error.ts";

/** The GitLab server that is trusted: whose tokens count, and where its public keys are. */
export interface KeyServer {
  /** What `iss` of its tokens must be, to the letter. */
  readonly issuer: string;
  /** `<gitlab_server>/oauth/discovery/keys` */
  readonly keysUrl: string;
  /** `<gitlab_server>/api/v4/job`: what GitLab says of the job whose token asks. */
  readonly jobUrl: string;
}

/**
 * Takes `gitlab_server` of the configuration. GitLab issues its tokens in the name of its own address, without a slash at
 * the end, so slashes at the end of ours are dropped; nothing else is made equal.
 *
 * Throws `config_invalid` for anything that is not a plain https address. http is for loopback alone: whoever sits on the
 * line could otherwise hand us keys of their own, and be anybody.
 */
export function keyServer(gitlabServer: string): KeyServer {
  let url: URL;
  try {
    url = new URL(gitlabServer);
  } catch {
    throw refuse("is not a URL");
  }
  // A password in the address must not reach a message either.
  if (url.username !== "" || url.password !== "") throw refuse("holds a user name or a password");
  if (/[?#\\\s]/.test(gitlabServer)) throw refuse("has more than a scheme, a host and a path");
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url.hostname))) {
    throw refuse(`is ${url.protocol}//…, and without TLS anybody on the line could sign tokens`);
  }
  const issuer = gitlabServer.replace(/\/+$/, "");
  return { issuer, keysUrl: `${issuer}/oauth/discovery/keys`, jobUrl: `${issuer}/api/v4/job` };
}

/** Whether a host of a URL is this machine, whatever the name service says. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

function refuse(why: string): JacamarError {
  return new JacamarError("config_invalid", `[general] gitlab_server ${why}`, {
    hint: 'Give the address of GitLab as it stands in its external_url, such as "https://gitlab.example.com".',
  });
}
