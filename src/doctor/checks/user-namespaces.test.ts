import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Lets the doctor run in a user namespace in which everybody is who they are, and whose settings are its own. */
function inNamespace(lines: string): string {
  return `
cat > $work/inner <<'END'
${lines}
exec "$@"
END
cat > $work/outer <<'END'
work=$1; shift
echo $$ > $work/pid
while [ ! -e $work/go ]; do sleep 0.02; done
# Only a program that is started as root has root's rights there.
exec bash $work/inner "$@"
END
unshare --user bash $work/outer $work "$@" &
child=$!
while [ ! -s $work/pid ]; do sleep 0.02; done
echo '0 0 4294967295' > /proc/$child/uid_map
echo '0 0 4294967295' > /proc/$child/gid_map
touch $work/go
set +e
wait $child
exit $?`;
}

describe("the check user-namespaces", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("userns");
  });
  after(() => bench.close());

  test("finds that they are allowed", async () => {
    assert.equal((await bench.look("user-namespaces")).kind, "ok");
    assert.equal((await bench.look("user-namespaces", inNamespace("true"))).kind, "ok");
  });

  test("finds that they are switched off", async () => {
    const { findings } = await bench.look(
      "user-namespaces",
      inNamespace("echo 0 > /proc/sys/user/max_user_namespaces"),
    );
    assert.deepEqual(
      findings.map(({ name, command }) => [name, command]),
      [["user-namespaces-off", "sysctl -w user.max_user_namespaces=65536"]],
    );
  });

  test("tells the system's own word when a try is refused", async () => {
    const { findings } = await bench.look(
      "user-namespaces",
      inNamespace(
        `setpriv --reuid=$uid --regid=$uid --clear-groups unshare --user sleep 20 > /dev/null 2>&1 &
         sleep 0.3; echo 1 > /proc/sys/user/max_user_namespaces`,
      ),
    );
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["user-namespaces-refused"],
    );
    assert.match(findings[0]?.text ?? "", /No space left on device/);
  });
});
