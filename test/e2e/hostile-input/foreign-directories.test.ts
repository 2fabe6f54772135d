import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { otherUser } from "../../harness/machine.ts";
import { Jobs } from "../stopping/jobs.ts";
import { assertOneMessage, prepareFails } from "./one-message.ts";

const other = otherUser();
const skip = other === undefined && "only root can make files of another user";

let jobs: Jobs;
/** Root's, and open to all to enter. data_dir outside the home gets one directory for each user below it. */
let place = "";
before(() => {
  jobs = new Jobs("foreign");
});
beforeEach(() => {
  place = mkdtempSync("/var/tmp/jacamar-e2e-foreign-");
  chmodSync(place, 0o755);
});
afterEach(() => rmSync(place, { recursive: true, force: true }));
after(() => jobs.close());

interface Case {
  readonly what: string;
  readonly make: (own: string) => void;
  readonly message: RegExp;
}

function make(path: string, mode: number, uid = jobs.user.uid): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
  chownSync(path, uid, -1);
  return path;
}

const stranger = (): number => other?.uid ?? -1;

const cases: readonly Case[] = [
  {
    what: "belongs to somebody else",
    make: (own) => make(own, 0o700, stranger()),
    message: /^ERROR: The directory "[^"]+" belongs to the account number \d+, not to you\n/,
  },
  {
    what: "belongs to somebody else and is open to all",
    make: (own) => make(own, 0o777, stranger()),
    message: /belongs to the account number \d+, not to you\n/,
  },
  {
    what: "belongs to root",
    make: (own) => make(own, 0o755, 0),
    message: /belongs to the account number 0, not to you\n/,
  },
  {
    what: "can be written by others",
    make: (own) => make(own, 0o777),
    message: /can be written by others \(mode 0777\)\n {2}Check what is in it, then: chmod 0700 /,
  },
  {
    what: "can be written by its group",
    make: (own) => make(own, 0o770),
    message: /can be written by others \(mode 0770\)\n/,
  },
  {
    what: "lies below a directory that everybody can write to",
    make: () => chmodSync(place, 0o777),
    message: /^ERROR: The directory "[^"]+" can be written by others, so "[^"]+" in it could be exchanged\n/,
  },
  {
    what: "lies below a directory of somebody else's",
    make: (own) => {
      make(own, 0o700);
      chownSync(place, stranger(), -1);
    },
    message: /belongs to the account number \d+, who could exchange "[^"]+" in it\n/,
  },
  {
    what: "is a symbolic link that somebody else made",
    make: (own) => {
      symlinkSync(make(join(place, "target"), 0o700), own);
      lchownSync(own, stranger(), -1);
    },
    message: /is a symbolic link of somebody else's\n/,
  },
  {
    what: "is the user's link to a directory of somebody else's",
    make: (own) => {
      symlinkSync(make(join(place, "target"), 0o700, stranger()), own);
      lchownSync(own, jobs.user.uid, -1);
    },
    message: /belongs to the account number \d+, not to you\n/,
  },
  {
    what: "is a link to itself",
    make: (own) => symlinkSync(own, own),
    message: /leads through too many symbolic links\n/,
  },
  {
    what: "is a file",
    make: (own) => {
      rmSync(make(own, 0o700), { recursive: true });
      symlinkSync("/etc/passwd", own);
    },
    message: /is not a directory\n/,
  },
  {
    what: "has a builds directory of somebody else's",
    make: (own) => {
      make(own, 0o700);
      make(join(own, "builds"), 0o700, stranger());
    },
    message: /builds" belongs to the account number \d+, not to you\n/,
  },
  {
    what: "has a link of somebody else's as scripts directory",
    make: (own) => {
      make(own, 0o700);
      symlinkSync(make(join(place, "target"), 0o700), join(own, "scripts"));
      lchownSync(join(own, "scripts"), stranger(), -1);
    },
    message: /scripts" is a symbolic link of somebody else's\n/,
  },
];

describe("no job runs with a data_dir that", { skip }, () => {
  for (const { what, make: prepareCase, message } of cases) {
    it(what, async () => {
      const own = join(place, jobs.user.name);
      prepareCase(own);
      const before = lstatSync(own, { throwIfNoEntry: false })?.mode;
      const job = jobs.job({ dataDir: place });
      assertOneMessage(await prepareFails(job), "system", message);
      if (!what.includes("builds")) {
        // The stage itself looks again; it does not rest on prepare having been called.
        const run = await job.run("build_script", "echo has run");
        assertOneMessage(run, "system", message);
        assert.equal(run.stdout, "");
      }
      await job.cleanup();
      assert.equal(lstatSync(own, { throwIfNoEntry: false })?.mode, before, "a stranger's directory was changed");
      assert.deepEqual(
        readdirSync(place).filter((name) => name !== jobs.user.name && name !== "target"),
        [],
      );
    });
  }

  it("cannot be made, since the directory above it is root's", async () => {
    const job = jobs.job({ dataDir: place });
    assertOneMessage(await prepareFails(job), "system", /^ERROR: Cannot make "[^"]+": EACCES\n/);
  });
});

describe("a job runs with a data_dir that", { skip }, () => {
  const good: Readonly<Record<string, (own: string) => void>> = {
    "is there with another mode, which is mended": (own) => make(own, 0o755),
    "lies in a sticky directory like /tmp": () => chmodSync(place, 0o1777),
    "is the user's link to a directory of the user's": (own) => {
      symlinkSync(make(join(place, "target"), 0o700), own);
      lchownSync(own, jobs.user.uid, -1);
    },
    "has a link of root's as its builds directory": (own) => {
      make(own, 0o700);
      symlinkSync(make(join(place, "target"), 0o700), join(own, "builds"));
    },
  };
  for (const [what, prepareCase] of Object.entries(good)) {
    it(what, async () => {
      const own = join(place, jobs.user.name);
      prepareCase(own);
      const job = jobs.job({ dataDir: place });
      await job.ready();
      assert.equal(statSync(own).mode & 0o7777, 0o700);
      assert.equal((await job.run("build_script", "true")).exitCode, 0);
      assert.equal((await job.cleanup()).exitCode, 0);
    });
  }
});
