import { chmodSync, copyFileSync, constants, linkSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./machine.ts";

/** What ships, at a place that every user can read. */
export interface Stage {
  /** 0755 and the caller's: good for files of a test, too, such as a configuration. */
  readonly directory: string;
  /** The launcher to start. */
  readonly jacamar: string;
  /** Removes the directory. */
  remove(): void;
}

/**
 * Copies `dist/` and the Node.js it needs to a new directory below `/var/tmp`. The checkout itself may be closed to the
 * test user (`/root`), and a build of somebody else must not change the program under a test. Remove it in `after()`.
 *
 * @throws when `dist/` has not been built
 */
export function stageBundle(): Stage {
  const directory = mkdtempSync("/var/tmp/jacamar-stage-");
  chmodSync(directory, 0o755);
  const dist = checkout("dist");
  for (const name of readdirSync(dist).filter((file) => file !== "meta.json" && !file.startsWith("."))) {
    const target = join(directory, name);
    copyFileSync(join(dist, name), target, constants.COPYFILE_FICLONE);
    chmodSync(target, /\.(?:cjs|json)$/.test(name) ? 0o644 : 0o755); // whatever our umask
  }
  place(checkout("node_modules/node/bin/node"), join(directory, "node"));
  return {
    directory,
    jacamar: join(directory, "jacamar"),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A second name costs nothing, a copy of Node 120 MB; but only a file that all may execute can be shared so. */
function place(source: string, target: string): void {
  if ((statSync(source).mode & 0o005) === 0o005) {
    try {
      linkSync(source, target);
      return;
    } catch {
      // Another file system, or one without links.
    }
  }
  copyFileSync(source, target, constants.COPYFILE_FICLONE);
  chmodSync(target, 0o755);
}
