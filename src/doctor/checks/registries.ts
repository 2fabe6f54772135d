import { asUser, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import type { ServerAnswer } from "../ask-server.ts";
import type { RegistryPlace } from "../registries.ts";

type Name = "registry-unreachable" | "registry-untrusted";

const limitMilliseconds = 4000;

export const registries = defineCheck<Name>({
  name: "registries",
  looksAt:
    "The registries of `runner_image`, `default_image` and `image_allowlist`: whether they answer, with the certificates and mirrors that Podman has for them.",
  network: true,
  ofMachine: false,
  explains: ["image_pull_failed"],
  entries: {
    "registry-unreachable": {
      level: "wrong",
      means: "A registry of the configuration does not answer from this machine.",
      why: "Its images cannot be pulled. A proxy counts from `HTTPS_PROXY` and `NO_PROXY` of the user's login.",
      todo: "Look at the firewall and the proxy, or name a mirror in `/etc/containers/registries.conf`.",
    },
    "registry-untrusted": {
      level: "wrong",
      means: "A registry's certificate is not trusted.",
      why: "Podman trusts the system's authorities, and those of `/etc/containers/certs.d/HOST/*.crt`.",
      todo: "Put the authority's certificate there. `tls-ca-file` does not count for Podman.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const { registriesOf, placesOf, readRegistrySettings, certificatesFor } = await import("../registries.ts");
    const hosts = registriesOf(subject.config);
    if (hosts.length === 0) return skipped("the configuration names no registry");
    const { askServer } = await import("../ask-server.ts");
    const environment = await subject.login();
    const configHome = environment["XDG_CONFIG_HOME"] ?? `${subject.account.home}/.config`;
    const settings = readRegistrySettings(configHome);
    const ask = async ({ host, insecure }: RegistryPlace): Promise<ServerAnswer> => {
      const request = {
        certificates: () => certificatesFor(host, configHome),
        trustedBy: `/etc/containers/certs.d/${host}`,
        environment,
        limitMilliseconds,
      };
      const answer = await askServer(new URL(`https://${host}/v2/`), request);
      return answer.kind === "failed" && insecure ? askServer(new URL(`http://${host}/v2/`), request) : answer;
    };
    const asked = await Promise.all(
      hosts.map(async (host) => {
        const answers = await Promise.all(placesOf(host, settings).map(ask));
        return { host, answer: answers.find(({ kind }) => kind === "answered") ?? answers.at(-1) };
      }),
    );
    const findings = asked.flatMap(({ host, answer }): Finding[] => {
      if (answer?.kind !== "failed") return [];
      const name = answer.untrusted ? "registry-untrusted" : "registry-unreachable";
      const text = `the registry ${host} cannot be asked: ${answer.why}`;
      return [
        report(name, text, "show this line to the administrator", asUser(`curl -sv -o /dev/null https://${host}/v2/`)),
      ];
    });
    return outcomeOf(findings, hosts.join(", "));
  },
});
