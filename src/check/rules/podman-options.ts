import { statSync } from "node:fs";
import type { Path } from "../../config/inspect.ts";
import { show } from "../../config/problem.ts";
import { isOn, type PodmanOption, type PodmanOptions, readPodmanOptions } from "../podman-options.ts";
import type { CheckSubject, Finding, Rule } from "../rule.ts";

export const brokenOptions: Rule = {
  name: "option-broken",
  severity: "problem",
  means: "An argument in `custom_options` or `runner_options` does something else than it seems to, and jobs fail.",
  why: "Each string goes to Podman as one argument; no shell takes it apart. What is no option is taken for the image. With `--detach` or `--name` no script runs, or only one job at a time.",
  remedy: 'Write one argument to a string: `["--volume", "/opt:/opt:ro"]` or `["--volume=/opt:/opt:ro"]`.',
  find: (subject) =>
    lists(subject).flatMap(({ path, options, stray, joined }) => [
      ...joined.map(
        ({ text, index }): Finding => ({
          path: [...path, index],
          at: "value",
          message: `${show(text)} is one argument for Podman, which knows no such option`,
          expected: "an option and its value as two strings, or with = between them",
        }),
      ),
      ...stray.map(
        ({ text, index }): Finding => ({
          path: [...path, index],
          at: "value",
          message: `${show(text)} is no option: Podman takes it for the image, and runs that`,
          expected: "an option, or the value of the option before it",
        }),
      ),
      ...options
        .filter((option) => (option.name === "detach" && isOn(option)) || option.name === "name")
        .map(
          ({ name, index }): Finding => ({
            path: [...path, index],
            at: "value",
            message:
              name === "detach"
                ? "--detach lets the stage end before its script does, so that no stage passes"
                : "--name gives all containers one name, so that no two jobs run at a time",
            expected: "it to be left out",
          }),
        ),
    ]),
};

export const drivenOptions: Rule = {
  name: "option-of-the-driver",
  severity: "warning",
  means: "An option in `custom_options` or `runner_options` takes the place of one that this program gives itself.",
  why: "The administrator's options stand behind the program's own, and Podman takes the last. The container may then run another image or another command than the job has, or stay behind.",
  remedy: "Leave it out, and use the key that the message names.",
  find: (subject) =>
    lists(subject).flatMap(({ path, role, options }) =>
      options.flatMap(({ name, value, index }): Finding[] => {
        const instead = name === "label" && !value.startsWith("jacamar-ci.") ? undefined : driven(name, role);
        if (instead === undefined) return [];
        return [{ path: [...path, index], at: "value", message: `--${name} is the program's own`, expected: instead }];
      }),
    ),
};

function driven(name: string, role: "custom" | "runner"): string | undefined {
  const key = (ofUser: string, ofRunner: string) =>
    `general.podman.${role === "custom" ? ofUser : ofRunner} to be used`;
  const keys: Readonly<Record<string, string>> = {
    entrypoint: key("user_entry_point", "runner_entry_point"),
    pull: key("image_pull_policy", "runner_pull_policy"),
    rm: "general.podman.disable_container_removal to be used",
    tty: "general.podman.tty to be used",
    authfile: "it to be left out: REGISTRY_AUTH_FILE is the user's to set",
    label: "labels that do not begin with jacamar-ci., by which cleanup finds containers",
    attach: "it to be left out",
    "sig-proxy": "it to be left out",
    replace: "it to be left out",
  };
  return Object.hasOwn(keys, name) ? keys[name] : undefined;
}

export const openedOptions: Rule = {
  name: "option-undoes-protection",
  severity: "warning",
  means: "An option in `custom_options` or `runner_options` takes a wall of the container away.",
  why: "A container of a job runs whatever a project's contributors write. The user's account outside is what is left to protect, and this option lets the container reach further into it or into the machine.",
  remedy: "Leave the option out, or give only what the jobs need: one capability, one directory, one device.",
  find: (subject) =>
    lists(subject).flatMap(({ path, options }) =>
      options.flatMap((option): Finding[] => {
        const why = whatItOpens(option, subject.elsewhere);
        return why === undefined ? [] : [{ path: [...path, option.index], at: "value", message: why }];
      }),
    ),
};

/** What an option takes away, as the end of a message; undefined for one that takes nothing away. */
function whatItOpens(option: PodmanOption, elsewhere: boolean): string | undefined {
  const { name, value } = option;
  const shown = `--${name}${value === "" ? "" : `=${value.slice(0, 80)}`}`;
  switch (name) {
    case "privileged":
      return isOn(option)
        ? `${shown} gives containers every capability and device that the user has, and turns seccomp, SELinux and AppArmor off`
        : undefined;
    case "pid":
      return value === "host"
        ? `${shown} shows containers all processes of the machine, and lets them signal the user's own`
        : undefined;
    case "ipc":
      return value === "host"
        ? `${shown} lets containers into the shared memory of the user's other processes`
        : undefined;
    case "userns":
      return value === "host"
        ? `${shown} gives containers no user namespace of their own: under a Podman of root, root of the container is root`
        : undefined;
    case "cap-add":
      return `${shown} gives containers rights that Podman takes from them`;
    case "env-host":
      return isOn(option)
        ? `${shown} gives containers the whole login environment of the user, with all secrets in it`
        : undefined;
    case "security-opt":
      return securityOption(shown, value);
    case "volume":
      return openVolume(shown, value.split(":")[0] ?? "", elsewhere);
    case "mount":
      return openVolume(shown, /(?:^|,)(?:src|source)=([^,]*)/.exec(value)?.[1] ?? "", elsewhere);
    default:
      return undefined;
  }
}

function securityOption(shown: string, value: string): string | undefined {
  if (/^seccomp[=:]unconfined$/.test(value)) return `${shown} lets containers use every system call`;
  if (/^apparmor[=:]unconfined$/.test(value)) return `${shown} takes AppArmor's rules from containers`;
  if (/^label[=:]disable$/.test(value))
    return `${shown} takes SELinux's wall between containers and the user's files away`;
  if (/^unmask[=:]/.test(value) || value === "systempaths=unconfined")
    return `${shown} shows containers parts of /proc and /sys that Podman hides`;
  return undefined;
}

const systemDirectories = new Set([
  "/",
  "/boot",
  "/dev",
  "/etc",
  "/home",
  "/proc",
  "/root",
  "/run",
  "/sys",
  "/tmp",
  "/var",
  "/var/run",
]);

function openVolume(shown: string, source: string, elsewhere: boolean): string | undefined {
  if (!source.startsWith("/")) return undefined;
  const path = source.replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
  if (/(?:docker|containerd|crio|podman)\.sock$/.test(path))
    return `${shown} hands containers a container engine: whoever reaches it can start containers as its account`;
  if (path.endsWith(".sock") || (!elsewhere && isSocket(path)))
    return `${shown} hands containers a socket, and with it what its service does for the user`;
  if (systemDirectories.has(path))
    return `${shown} shows containers ${path === "/" ? "all files of the machine" : `all of ${path}`}`;
  return undefined;
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}

interface OptionList extends PodmanOptions {
  readonly path: Path;
  readonly role: "custom" | "runner";
}

function lists({ config }: CheckSubject): OptionList[] {
  const { custom_options: custom, runner_options: runner } = config.general.podman;
  const list = (role: OptionList["role"], values: readonly string[]): OptionList => ({
    path: ["general", "podman", `${role}_options`],
    role,
    ...readPodmanOptions(values),
  });
  return [list("custom", custom), list("runner", runner)];
}
