import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { testDoor } from "./door.ts";
import { checkout } from "./machine.ts";

/** What ships, at a place that every user can read. */
export interface Stage {
  /** 0755 and the caller's: good for files of a test, too, such as a configuration. */
  readonly directory: string;
  /** The program `jacamar` to start. `jacamar-auth` lies beside it. */
  readonly jacamar: string;
  /** A Node.js for the programs of a test. */
  readonly node: string;
  /** Whether the programs are those of a package: single executables, with no Node.js beside them. */
  readonly isPackaged: boolean;
  /** Gives `jacamar-auth` the capabilities to become any user, and closes it to all but root and the group. Takes root. */
  giveCapabilities(gid: number): void;
  /** Removes the directory. */
  remove(): void;
}

/**
 * A directory with the programs `jacamar` and `jacamar-auth` of a package, which the tests then run in place of `dist/`.
 * `npm test` sets it.
 */
const packaged = process.env["JACAMAR_TEST_PROGRAMS"] || undefined;

/**
 * Copies the programs to a new directory below `/var/tmp`. The checkout itself may be closed to the test user (`/root`), and a
 * build of somebody else must not change the program under a test. Remove it in `after()`.
 *
 * @throws when `dist/` has not been built
 */
export function stageBundle(): Stage {
  const door = testDoor();
  // The door is made for the programs of one place.
  if (door) {
    const refuse = () => {
      throw new Error("the door is made already");
    };
    return { ...programsOf(door.stage), giveCapabilities: refuse, remove: () => undefined };
  }
  const directory = mkdtempSync("/var/tmp/jacamar-stage-");
  chmodSync(directory, 0o755);
  const capable = packaged === undefined ? stageCheckout(directory) : stagePackage(directory, packaged);
  return {
    ...programsOf(directory),
    giveCapabilities: (gid) => giveCapabilities(join(directory, capable.source), join(directory, capable.target), gid),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function programsOf(directory: string): Pick<Stage, "directory" | "jacamar" | "node" | "isPackaged"> {
  return {
    directory,
    jacamar: join(directory, "jacamar"),
    node: join(directory, packaged === undefined ? "node" : nodeOfTests),
    isPackaged: packaged !== undefined,
  };
}

/** A program of a package must not find a Node.js beside it. */
const nodeOfTests = "node-of-tests";

/** The file that gets capabilities is a copy of `source` at `target`: never a second name of a file that others run. */
interface Capable {
  readonly source: string;
  readonly target: string;
}

function stageCheckout(directory: string): Capable {
  const dist = checkout("dist");
  const files = readdirSync(dist, { withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { name } of files.filter((file) => file.name !== "meta.json" && !file.name.startsWith("."))) {
    const target = join(directory, name);
    copyFileSync(join(dist, name), target, constants.COPYFILE_FICLONE);
    chmodSync(target, name.includes(".") ? 0o644 : 0o755); // whatever our umask
  }
  place(checkout("node_modules/node/bin/node"), join(directory, "node"));
  return { source: "node", target: "node-auth" };
}

function stagePackage(directory: string, programs: string): Capable {
  for (const name of ["jacamar", "jacamar-auth", "jacamar.schema.json"])
    place(join(programs, name), join(directory, name));
  place(checkout("node_modules/node/bin/node"), join(directory, nodeOfTests));
  return { source: "jacamar", target: "jacamar-auth" };
}

/** As docs/administration.md and the package for service accounts have it. Another owner would take capabilities away again. */
function giveCapabilities(source: string, target: string, gid: number): void {
  rmSync(target, { force: true });
  copyFileSync(source, target, constants.COPYFILE_FICLONE);
  chownSync(target, 0, gid);
  chmodSync(target, 0o750);
  execFileSync("setcap", ["cap_setuid,cap_setgid=ep", target]);
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
