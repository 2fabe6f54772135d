import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import type { User } from "./machine.ts";
import type { Stage } from "./stage.ts";
import { sudoersLines } from "./sudoers.ts";

/** An account for a runner that is not root, with both ways for it to become a user. */
export interface ServiceAccount {
  readonly user: User;
  /** Removes the account, its home and its sudoers line. */
  remove(): void;
}

const sudoers = "/etc/sudoers.d/jacamar-e2e";

/**
 * Makes the account as docs/administration.md has it, for the programs of the stage: a `jacamar-auth` with file
 * capabilities, which nobody else can use, and lines for sudo. Takes root. One at a time.
 */
export function makeServiceAccount(stage: Stage): ServiceAccount {
  const name = "jacamar-e2e-svc";
  execFileSync("useradd", ["--system", "--create-home", "--home-dir", `/var/lib/${name}`, "--shell", "/bin/sh", name]);
  const entry = execFileSync("getent", ["passwd", name], { encoding: "utf8" }).trim().split(":");
  const user = { name, uid: Number(entry[2]), gid: Number(entry[3]), home: entry[5] ?? "/" };
  stage.giveCapabilities(user.gid);
  writeFileSync(sudoers, sudoersLines(name, stage.directory), { mode: 0o440 });
  return {
    user,
    remove: () => {
      rmSync(sudoers, { force: true });
      execFileSync("userdel", ["--remove", name], { stdio: "ignore" });
    },
  };
}
