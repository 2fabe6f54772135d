import { accessSync, constants, existsSync } from "node:fs";
import { readPodmanOptions } from "../../check/podman-options.ts";
import type { Config } from "../../config/schema.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { onPath, onSystemPath } from "../../process/program-path.ts";

type Name = "network-program-missing" | "network-no-tun" | "network-no-init";

export const containerNetwork = defineCheck<Name>({
  name: "container-network",
  looksAt:
    "The helpers that a rootless container needs: `slirp4netns` or `pasta` with `/dev/net/tun`, and `catatonit` for `--init`.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed"],
  entries: {
    "network-program-missing": {
      level: "wrong",
      means: "The program that gives rootless containers their network is not there.",
      why: "Podman 4 uses `slirp4netns`, Podman 5 `pasta`. Distributions only recommend it with Podman.",
      todo: 'Install it (package `slirp4netns` or `passt`), or set `custom_options = ["--network=host"]`.',
    },
    "network-no-tun": {
      level: "wrong",
      means: "`/dev/net/tun` is not there, or closed to users.",
      why: 'The network of a rootless container is made with it: `open("/dev/net/tun"): Permission denied`.',
      todo: 'Load the module and open the device, or set `custom_options = ["--network=host"]`.',
    },
    "network-no-init": {
      level: "wrong",
      means: "The configuration has `--init`, and there is no `catatonit`.",
      why: "Podman then fails with `container-init binary not found`.",
      todo: "Install the package `catatonit`.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const podman = await subject.podman();
    if (podman.kind === "missing" || podman.info === undefined) return skipped("Podman does not answer");
    const findings: Finding[] = [];
    const path = (await subject.login())["PATH"] ?? "";
    const { options } = readPodmanOptions(subject.config.general.podman.custom_options ?? []);
    const network = options.findLast(({ name }) => name === "network")?.value ?? "";
    const isOwnNetwork = !/^(?:host|none|container:|ns:)/.test(network);
    const program = helperOf(podman.info.version.Version, podman.info.host.rootlessNetworkCmd, network);
    const place = onPath(program, path) ?? onSystemPath(program) ?? inLibexec(program);
    if (isOwnNetwork && place === undefined) {
      const text = `there is no ${program}, so containers get no network`;
      const install = asRoot(
        program === "pasta"
          ? "apt-get install passt || dnf install passt"
          : `apt-get install ${program} || dnf install ${program}`,
      );
      findings.push(report("network-program-missing", text, `ask the administrator to install it`, install));
    }
    if (isOwnNetwork && !isOpen("/dev/net/tun")) {
      const text = existsSync("/dev/net/tun")
        ? "/dev/net/tun is closed to users, so containers get no network"
        : "there is no /dev/net/tun, so containers get no network";
      findings.push(
        report(
          "network-no-tun",
          text,
          "ask the administrator to open it",
          asRoot("modprobe tun && chmod 0666 /dev/net/tun"),
        ),
      );
    }
    const init =
      wantsInit(subject.config) && onPath("catatonit", path) === undefined && inLibexec("catatonit") === undefined;
    if (init) {
      const text = "the configuration has --init, and there is no catatonit";
      findings.push(
        report(
          "network-no-init",
          text,
          "ask the administrator to install it",
          asRoot("apt-get install catatonit || dnf install catatonit"),
        ),
      );
    }
    return outcomeOf(findings, isOwnNetwork ? (place ?? program) : network);
  },
});

function helperOf(version: string, configured: string, network: string): string {
  const [wanted = ""] = network.split(":");
  if (wanted === "pasta" || wanted === "slirp4netns") return wanted;
  if (configured !== "") return configured;
  return Number(version.split(".")[0]) >= 5 ? "pasta" : "slirp4netns";
}

/** Where packages of Podman keep helpers that are on no PATH (containers.conf, `helper_binaries_dir`). */
function inLibexec(program: string): string | undefined {
  return onPath(
    program,
    "/usr/local/libexec/podman:/usr/local/lib/podman:/usr/libexec/podman:/usr/lib/podman:/usr/libexec/catatonit",
  );
}

function isOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function wantsInit(config: Config): boolean {
  const { custom_options: custom, runner_options: runner } = config.general.podman ?? {};
  return [custom, runner].some((list) => readPodmanOptions(list).options.some(({ name }) => name === "init"));
}
