import { asRoot, defineCheck, type Finding, outcomeOf, type Report, skipped } from "../check.ts";

type Name = "gitlab-unreachable" | "gitlab-untrusted" | "gitlab-no-keys" | "clock-behind" | "clock-ahead";

const limitMilliseconds = 4000;
/** GitLab lets a token count from five seconds before it was made. */
const grantedSeconds = 5;
/** The header has whole seconds, and the answer took its time. */
const blurSeconds = 2;
/** Certificates, caches and the logs of two machines are hard to compare beyond that. */
const muchSeconds = 60;

export const gitlab = defineCheck<Name>({
  name: "gitlab",
  looksAt:
    "`gitlab_server`: whether it answers over TLS with the certificates of `tls-ca-file`, publishes its keys, and what its clock says.",
  network: true,
  ofMachine: true,
  explains: [],
  entries: {
    "gitlab-unreachable": {
      level: "wrong",
      means: "GitLab does not answer from this machine.",
      why: "Without its keys no ID token can be verified, and no job can fetch its sources. A proxy counts from `HTTPS_PROXY` and `NO_PROXY`.",
      todo: "Look at the address, the firewall and the proxy: `curl -v URL`.",
    },
    "gitlab-untrusted": {
      level: "wrong",
      means: "GitLab's certificate is not trusted.",
      why: "It was signed by an authority that is neither in the system's list nor in `tls-ca-file`, has run out, or is for another name.",
      todo: "Put the authority's certificate into a file of root's, and name it with `tls-ca-file` in `[general]`.",
    },
    "gitlab-no-keys": {
      level: "wrong",
      means: "The server answers, and does not publish keys as GitLab does.",
      why: "The address is another one than GitLab's `external_url`, or something stands before it that lets nobody through.",
      todo: "Open `<gitlab_server>/oauth/discovery/keys` from this machine: it must be JSON.",
    },
    "clock-behind": {
      level: "wrong",
      means: "The clock of this machine is behind GitLab's.",
      why: "Tokens of new jobs are then not valid yet, and the jobs are refused.",
      todo: "Let the clock follow a time server. Until then `jwt_exp_delay` in `[auth]` gives tokens some slack.",
    },
    "clock-ahead": {
      level: "warning",
      means: "The clock of this machine is more than a minute ahead of GitLab's.",
      why: "Tokens end too early, and the logs of the two cannot be compared.",
      todo: "Let the clock follow a time server.",
    },
  },
  async look(subject, report) {
    const server = subject.config.general.gitlab_server;
    if (server === undefined) return skipped("the configuration names no gitlab_server");
    const { askServer } = await import("../ask-server.ts");
    const { certificates } = await import("../../auth/line.ts");
    const tlsCaFile = subject.config.general["tls-ca-file"];
    const environment = subject.isRoot ? process.env : await subject.login();
    const url = URL.parse(`${server.replace(/\/+$/, "")}/oauth/discovery/keys`);
    if (url === null) return skipped("gitlab_server is no address");
    const answer = await askServer(url, {
      certificates: subject.certificates ?? (() => certificates(tlsCaFile)),
      environment,
      limitMilliseconds,
    });
    if (answer.kind === "failed") {
      const name = answer.untrusted ? "gitlab-untrusted" : "gitlab-unreachable";
      const text = `GitLab (${url.origin}) cannot be asked: ${answer.why}`;
      return outcomeOf(
        [report(name, text, "show this line to the administrator", asRoot(`curl -sv -o /dev/null ${url.origin}`))],
        "",
      );
    }
    const findings: Finding[] = [];
    if (subject.config.auth !== undefined && answer.status !== 200) {
      const text = `GitLab (${url.origin}) does not publish its keys: HTTP status ${answer.status} for ${url.pathname}`;
      findings.push(report("gitlab-no-keys", text, "ask the administrator to check gitlab_server"));
    }
    const skew = answer.clock === undefined ? 0 : (answer.clock.ours - answer.clock.theirs) / 1000;
    findings.push(...judgeClock(skew, subject.config.auth?.jwt_exp_delay ?? 0, report));
    return outcomeOf(findings, `${url.origin} answers, clocks differ by ${Math.abs(Math.round(skew))} s`);
  },
});

/** @param skewSeconds by how much our clock is ahead of GitLab's. */
export function judgeClock(skewSeconds: number, slackSeconds: number, report: Report<Name>): Finding[] {
  const follow = asRoot("timedatectl set-ntp true || systemctl enable --now chronyd");
  const difference = `${Math.round(Math.abs(skewSeconds))} s`;
  if (-skewSeconds > grantedSeconds + slackSeconds + blurSeconds) {
    const text = `the clock of this machine is ${difference} behind GitLab's, so tokens of new jobs are not valid yet`;
    return [report("clock-behind", text, "ask the administrator to set it right", follow)];
  }
  if (skewSeconds > muchSeconds) {
    const text = `the clock of this machine is ${difference} ahead of GitLab's`;
    return [report("clock-ahead", text, "ask the administrator to set it right", follow)];
  }
  return [];
}
