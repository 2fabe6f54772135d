import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Writes the account's containers.conf, with the runtime and the manager that work on a machine without systemd. */
const containersConf = (engine: string) => `
"\${as_user[@]}" mkdir -p $home/.config/containers
printf '[engine]\\ncgroup_manager = "cgroupfs"\\nevents_logger = "file"\\n%s\\n' '${engine}' > $home/.config/containers/containers.conf
chown -R $user: $home/.config`;

describe("the check container", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("contain");
  });
  after(() => bench.close());

  test("starts one, and leaves nothing", async () => {
    const { kind, text } = await bench.look("container", containersConf('runtime = "runc"'));
    assert.equal(kind, "ok", text);
    assert.match(text, /runc ran one in \d/);
    assert.equal(
      await bench.run("bash", "-c", "ls ~/.local/share/containers /tmp/jacamar-doctor-* 2>/dev/null || true"),
      "",
    );
  });

  test("finds that the runtime does not work, and names the other one", async () => {
    const broken = `cat > $work/crun <<'END'
#!/bin/sh
case $* in *--version*) echo crun version 1.8 ;; *) echo cgroups in hybrid mode not supported >&2; exit 1 ;; esac
END
chmod 755 $work/crun`;
    const setup = `${broken}\n${containersConf("runtime = \"'$work/crun'\"")}`;
    const { findings } = await bench.look("container", setup);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["container-runtime"],
    );
    assert.match(findings[0]?.text ?? "", /^a container does not start \(runtime \/\S+\/crun\): .+/);
    assert.match(findings[0]?.command ?? "", /runtime = "runc"/);
  });

  test("tells Podman's own word about anything else", async () => {
    // No process of the account may lock memory for the container's keys: Podman's own limit is refused.
    const setup = `${containersConf('runtime = "runc"')}; printf '[containers]\\ndefault_ulimits = ["nofile=99999999:99999999"]\\n' >> $home/.config/containers/containers.conf`;
    const { findings } = await bench.look("container", setup);
    assert.equal(findings.length, 1);
    assert.match(findings[0]?.text ?? "", /^a container does not start/);
  });
});
