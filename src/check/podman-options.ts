/** An option of `podman run` in a list of arguments. */
export interface PodmanOption {
  /** In its long form, without dashes: `volume` for `-v`. */
  readonly name: string;
  /** Empty for an option without one. */
  readonly value: string;
  /** Where in the list it begins, counted from 0. */
  readonly index: number;
}

export interface PodmanOptions {
  readonly options: readonly PodmanOption[];
  /** Arguments that are no option: Podman would take the first for the image. */
  readonly stray: readonly { readonly text: string; readonly index: number }[];
  /** Arguments in which an option and its value stand together, as only a shell would take them apart. */
  readonly joined: readonly { readonly text: string; readonly index: number }[];
}

/** Options that take no value as a separate argument (podman-run(1) of 4.3 to 5.x). */
const switches = new Set(
  [
    "detach disable-content-trust env-host help http-proxy init interactive no-healthcheck no-hostname no-hosts",
    "oom-kill-disable passwd privileged publish-all quiet read-only read-only-tmpfs replace rm rmi rootfs sig-proxy",
    "tls-verify tty unsetenv-all",
  ]
    .join(" ")
    .split(" "),
);

const shortNames: Readonly<Record<string, string>> = {
  a: "attach",
  c: "cpu-shares",
  d: "detach",
  e: "env",
  h: "hostname",
  i: "interactive",
  l: "label",
  m: "memory",
  P: "publish-all",
  p: "publish",
  q: "quiet",
  t: "tty",
  u: "user",
  v: "volume",
  w: "workdir",
};

/** Older names that Podman takes, too. */
const synonyms: Readonly<Record<string, string>> = { net: "network", "dns-opt": "dns-option" };

/** Reads arguments as Podman does (the rules of GNU's getopt_long with `=` or the next argument as the value). */
export function readPodmanOptions(list: readonly string[]): PodmanOptions {
  const options: PodmanOption[] = [];
  const stray: { text: string; index: number }[] = [];
  const joined: { text: string; index: number }[] = [];
  for (let index = 0; index < list.length; index += 1) {
    const text = list[index] ?? "";
    if (!/^-./.test(text) || text === "--") {
      stray.push({ text, index });
      continue;
    }
    if (/^--?[A-Za-z][\w-]*\s/.test(text)) {
      joined.push({ text, index });
      continue;
    }
    const read = text.startsWith("--") ? readLong(text) : readShort(text);
    const takesNext = read.value === undefined && !switches.has(read.name);
    options.push(...read.before.map((name) => ({ name, value: "", index })));
    options.push({ name: read.name, value: read.value ?? (takesNext ? (list[index + 1] ?? "") : ""), index });
    if (takesNext) index += 1;
  }
  return { options, stray, joined };
}

interface ReadOption {
  /** Switches that stand before it in the same argument. */
  readonly before: readonly string[];
  readonly name: string;
  readonly value: string | undefined;
}

function readLong(text: string): ReadOption {
  const equals = text.indexOf("=");
  const name = text.slice(2, equals === -1 ? undefined : equals);
  return { before: [], name: synonyms[name] ?? name, value: equals === -1 ? undefined : text.slice(equals + 1) };
}

/** `-it`, `-v/a:/b`, `-v=/a:/b`. */
function readShort(text: string): ReadOption {
  const before: string[] = [];
  for (let place = 1; place < text.length; place += 1) {
    const name = shortNames[text.charAt(place)] ?? text.charAt(place);
    const rest = text.slice(place + 1);
    if (rest === "") return { before, name, value: undefined };
    if (!switches.has(name)) return { before, name, value: rest.replace(/^=/, "") };
    before.push(name);
  }
  return { before, name: "", value: undefined };
}

/** Whether a switch is on: `--privileged`, `--privileged=true`, not `--privileged=false`. */
export function isOn({ value }: PodmanOption): boolean {
  return !/^(?:false|f|0)$/i.test(value);
}
