import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnyJob } from "../stopping/jobs.ts";
import type { JobOptions } from "../../harness/job.ts";
import { testUser, type User } from "../../harness/machine.ts";
import type { Stage } from "../../harness/stage.ts";

/** Why a test with another home cannot run here; false when it can. */
export const withoutScratchHome =
  process.getuid?.() !== 0 && "only root can lay another home over the user's, and the real one is not for tests";

/**
 * A home directory of our own in place of the test user's, for one job's driver alone: it is mounted over the real one
 * in a mount namespace of the driver's. Bash takes the home from the account, so no variable can do that.
 */
export class ScratchHome {
  /** Where the home is outside; the job sees it at the user's real home. */
  readonly directory: string;
  readonly user: User = testUser();
  readonly #launcher: string;

  /** @param files start-up files by name, in place of the usual ones of a new account. */
  constructor(stage: Stage, files: Readonly<Record<string, string>> = {}) {
    this.directory = mkdtempSync("/var/tmp/jacamar-home-");
    for (const name of [".bash_logout", ".bashrc", ".profile"]) {
      if (files[name] === undefined) copyFileSync(`/etc/skel/${name}`, join(this.directory, name));
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.directory, name), text);
    mkdirSync(join(this.directory, "data"), { mode: 0o700 });
    for (const name of ["", "data"]) chownSync(join(this.directory, name), this.user.uid, this.user.gid);
    const { uid, gid, home } = this.user;
    this.#launcher = join(stage.directory, `in-${this.directory.slice(-6)}`);
    // The runner's files were made as ours, since it is as root that this starts. A Podman that runs in there leaves a process that all
    // later ones of the user's would join, which find it in the runtime directory.
    const inside = `set -e
      mount --bind '${this.directory}' '${home}'
      [ -e /tmp/jacamar-ci-${uid} ] || install -d -m 0700 -o ${uid} -g ${gid} /tmp/jacamar-ci-${uid}
      for runtime in /run/user/${uid} /tmp/jacamar-ci-${uid}; do
        [ ! -d "$runtime" ] || mount -t tmpfs -o mode=0700,uid=${uid},gid=${gid} tmpfs "$runtime"
      done
      chown -R ${uid}:${gid} "$TMPDIR"
      exec setpriv --reuid=${uid} --regid=${gid} --init-groups -- '${stage.jacamar}' "$@"`;
    writeFileSync(this.#launcher, `#!/bin/sh\nexec unshare --mount sh -c ${quote(inside)} sh "$@"\n`);
    chmodSync(this.#launcher, 0o755);
  }

  /** A job without a container; its data_dir is `~/data`. */
  job(options: Partial<JobOptions> & { readonly general?: string } = {}): AnyJob {
    const { general = "", ...rest } = options;
    const configuration = `[general]\nexecutor = "shell"\ndata_dir = "~/data"\n${general}\n`;
    return new AnyJob({ user: { ...this.user, uid: 0 }, jacamar: this.#launcher, configuration, ...rest });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
    rmSync(this.#launcher);
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
