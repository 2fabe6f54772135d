import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { asUser, type Ended, testUser } from "../../harness/machine.ts";

/** Programs of an installed or unpacked package, and the example beside them. */
export interface Installed {
  /** The directory of `jacamar` and `jacamar-auth`. */
  readonly programs: string;
  /** The directory of the examples. */
  readonly examples: string;
}

/** Runs the demo with `jacamar`, as the test user, on a machine that has neither Node.js nor npm. */
export async function demoAsUser({ programs, examples }: Installed): Promise<Ended> {
  return withPipeline(examples, async (pipeline) =>
    withoutNode(
      ["setpriv", ...identity(), "--", join(programs, "jacamar"), "try"],
      ["--configuration", join(examples, "hello/jacamar.toml"), join(pipeline, ".gitlab-ci.yml")],
    ),
  );
}

/** Runs it as root with `jacamar-auth`, which becomes the test user. */
export async function demoAsRoot({ programs, examples }: Installed): Promise<Ended> {
  return withPipeline(examples, async (pipeline) => {
    const port = await freePort();
    const keys = `/var/cache/jacamar/keys-http%3A%2F%2F127.0.0.1%3A${port}.json`;
    const configuration = join(pipeline, "jacamar-auth.toml");
    mkdirSync(join(pipeline, "log"), { mode: 0o700 });
    writeFileSync(
      configuration,
      readFileSync(join(examples, "hello/jacamar-auth.toml"), "utf8")
        .replace("127.0.0.1:8765", `127.0.0.1:${port}`)
        .replace("/var/log/jacamar-auth.log", join(pipeline, "log/jacamar-auth.log")),
      { mode: 0o600 },
    );
    try {
      return await withoutNode(
        [join(programs, "jacamar"), "try", "--driver", join(programs, "jacamar-auth")],
        ["--configuration", configuration, "--token-server", String(port), "--login", testUser().name].concat(
          join(pipeline, "token.gitlab-ci.yml"),
        ),
      );
    } finally {
      rmSync(keys, { force: true });
    }
  });
}

function identity(): string[] {
  const { uid, gid } = testUser();
  return [`--reuid=${uid}`, `--regid=${gid}`, "--init-groups"];
}

/** The pipeline in a directory of its own: what lies beside it goes into the job. */
async function withPipeline(examples: string, use: (directory: string) => Promise<Ended>): Promise<Ended> {
  const directory = mkdtempSync("/var/tmp/jacamar-package-demo-");
  try {
    for (const name of [".gitlab-ci.yml", "token.gitlab-ci.yml"]) {
      cpSync(join(examples, "hello", name), join(directory, name));
    }
    execFileSync("chmod", ["-R", "a+rX", directory]);
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Runs a program where every Node.js and npm of the machine is closed to it. */
function withoutNode(start: readonly string[], argv: readonly string[]): Promise<Ended> {
  const script = `set -e
    for name in node nodejs npm npx; do
      for path in $(type -aP "$name"); do mount --bind /dev/null "$(readlink -f "$path")" 2>/dev/null || true; done
    done
    for name in node npm; do ! "$name" --version >/dev/null 2>&1 || { echo "there still is $name"; exit 9; }; done
    exec "$@"`;
  const root = { name: "root", uid: 0, gid: 0, home: "/root" };
  const user = testUser();
  return asUser(root, ["unshare", "--mount", "bash", "-c", script, "-", ...start, ...argv], {
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: user.home, LANG: "C.UTF-8" },
    cwd: "/",
    timeoutSeconds: 120,
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
