import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, chownSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asUser, checkout, type User } from "./machine.ts";

/** A real container registry on loopback, for as long as a test needs it. */
export interface Registry {
  /** `127.0.0.1:PORT`, the first part of an image name and a key of `auths`. */
  readonly host: string;
  /** Where it keeps everything; its log is the file `log` in there. */
  readonly stateDirectory: string;
  /**
   * Copies an image of the user's store into the registry. `name` is without the host: `group/project/app:1`.
   *
   * @returns the full name under which it can be pulled
   * @throws when Podman fails, with its words
   */
  push(user: User, image: string, name: string): Promise<string>;
  /** Ends it and removes all that it stored. A second call does nothing. */
  stop(): void;
}

/** `base64(name:password)`, as it stands in `auth.json` and in `DOCKER_AUTH_CONFIG`. */
export function basicAuth(name: string, password: string): string {
  return Buffer.from(`${name}:${password}`).toString("base64");
}

/**
 * Starts a registry that lets in the users given, name by name with the password, or everybody without any. Stop it in
 * `after()`.
 *
 * @throws when docker-registry does not start
 */
export function startRegistry(users: Readonly<Record<string, string>> | "anonymous"): Registry {
  const script = checkout("scripts/setup/registry");
  const anonymous = users === "anonymous";
  const lines = anonymous ? "" : Object.entries(users).map(([name, password]) => `${name}:${password}\n`);
  const started = execFileSync(script, ["start", ...(anonymous ? ["--anonymous"] : ["--users", "-"])], {
    input: [lines].flat().join(""),
    encoding: "utf8",
    // The registry keeps what it inherits: it must not hold the test's own output open.
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [host, stateDirectory] = started.trim().split(" ");
  if (host === undefined || stateDirectory === undefined) throw new Error(`Cannot understand: ${started}`);

  const [first] = anonymous ? [] : Object.entries(users);
  return {
    host,
    stateDirectory,
    push: (user, image, name) => push(user, image, `${host}/${name}`, first),
    stop: () => {
      execFileSync(script, ["stop", stateDirectory], { stdio: "inherit" });
    },
  };
}

async function push(user: User, image: string, name: string, login: [string, string] | undefined): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-push-"));
  try {
    const host = name.slice(0, name.indexOf("/"));
    const auths = login === undefined ? {} : { [host]: { auth: basicAuth(...login) } };
    const file = join(directory, "auth.json");
    writeFileSync(file, JSON.stringify({ auths }), { mode: 0o600 });
    for (const path of [directory, file]) chownSync(path, user.uid, user.gid);
    const pushed = await asUser(user, ["podman", "push", "--quiet", "--authfile", file, image, name]);
    if (pushed.exitCode !== 0) throw new Error(`Cannot push ${image} as ${name}: ${pushed.stderr}`);
    return name;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
