import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Writes the account's storage.conf. */
const storageConf = (driver: string) => `
"\${as_user[@]}" mkdir -p $home/.config/containers
printf '[storage]\\ndriver = "${driver}"\\n' > $home/.config/containers/storage.conf`;
const useOnce = '"${as_user[@]}" XDG_RUNTIME_DIR=$work/run podman info > /dev/null 2>&1';
const makeRun = "install -d -m 0700 -o $user $work/run";

describe("the check storage-driver", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("driver");
  });
  after(() => bench.close());
  beforeEach(() =>
    bench.run("bash", "-c", "podman unshare rm -rf ~/.local ~/.config 2>/dev/null; rm -rf ~/.local ~/.config"),
  );

  async function names(setup: string): Promise<string[]> {
    return (await bench.look("storage-driver", setup)).findings.map(({ name }) => name);
  }

  test("finds that the first store would be one of vfs, and makes none", async () => {
    const { findings } = await bench.look("storage-driver", storageConf("vfs"));
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["storage-vfs-first"],
    );
    assert.match(
      findings[0]?.command ?? "",
      /^mkdir -p \S*\/\.config\/containers && printf '\[storage\]\\ndriver = "overlay"\\n' > \S*\/storage\.conf$/,
    );
    assert.equal(await bench.run("bash", "-c", "ls ~/.local 2>/dev/null || true"), "");
    assert.equal((await bench.look("storage-driver", storageConf("overlay"))).text, "overlay, for the first time");
  });

  test("finds a store of vfs, also when storage.conf says otherwise by now", async () => {
    assert.deepEqual(await names(`${storageConf("vfs")}; ${makeRun}; ${useOnce}`), ["storage-vfs"]);
    const { findings } = await bench.look("storage-driver", storageConf("overlay"));
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["storage-vfs"],
    );
    assert.match(findings[0]?.command ?? "", /podman system reset --force$/);
  });

  test("finds that storage.conf names another driver than the store has", async () => {
    const setup = `${storageConf("overlay")}; ${makeRun}; ${useOnce}; sed -i s/overlay/vfs/ $home/.config/containers/storage.conf`;
    const { findings } = await bench.look("storage-driver", setup);
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text]),
      [["storage-other", "storage.conf names the driver vfs, and the store has overlay"]],
    );
  });
});
