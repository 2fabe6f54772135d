import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Hides a program wherever Podman looks for it. */
const hide = (name: string) =>
  `for p in $(type -ap ${name}) /usr/libexec/podman/${name} /usr/lib/podman/${name} /usr/libexec/catatonit/${name}; do [ ! -e $p ] || mount --bind /dev/null $p; done`;
const open = "touch $work/tun; chmod 0666 $work/tun; [ ! -e /dev/net/tun ] || mount --bind $work/tun /dev/net/tun";

describe("the check container-network", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("network");
  });
  after(() => bench.close());

  const podman = (options: string) => ({
    configuration: `run_mechanism = "podman"\n[general.podman]\ncustom_options = ${options}`,
  });
  async function names(setup: string, options = "[]"): Promise<string[]> {
    return (await bench.look("container-network", setup, podman(options))).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with what the packages bring", async () => {
    assert.deepEqual(await names(open), []);
  });

  test("finds that the program is missing, unless containers need no network of their own", async () => {
    const setup = `${open}; ${hide("slirp4netns")}; ${hide("pasta")}`;
    assert.deepEqual(await names(setup), ["network-program-missing"]);
    assert.deepEqual(await names(setup, '["--network=host"]'), []);
    assert.deepEqual(await names(setup, '["--network", "none"]'), []);
  });

  test("finds that /dev/net/tun is closed", async () => {
    const { findings } = await bench.look(
      "container-network",
      "touch $work/tun; chmod 0600 $work/tun; mount --bind $work/tun /dev/net/tun",
    );
    assert.deepEqual(
      findings.map(({ name, command }) => [name, command]),
      [["network-no-tun", "modprobe tun && chmod 0666 /dev/net/tun"]],
    );
  });

  test("finds that --init has nothing to start", async () => {
    assert.deepEqual(await names(`${open}; ${hide("catatonit")}`, '["--init"]'), ["network-no-init"]);
    assert.deepEqual(await names(`${open}; ${hide("catatonit")}`), []);
  });
});
