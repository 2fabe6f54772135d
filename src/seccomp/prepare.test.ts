import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { program32, usualCalls } from "../../test/harness/system-calls.ts";
import { capture } from "../process/capture.ts";
import type { CallFilter } from "./filter.ts";
import type { FilterOwner } from "./prepare.ts";
import { prepareFilter, proveLoaded, threadStates, unknownCalls } from "./prepare.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-seccomp-"));
after(() => rmSync(directory, { recursive: true }));

/** With no_new_privs every process may load a filter for itself. */
const me: FilterOwner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, noNewPrivs: true };

function blocking(...names: string[]): CallFilter {
  return { kind: "block", names, limitSetuid: false };
}

/** What a process prints in which the filters are loaded before the code runs. */
async function under(filters: CallFilter | readonly CallFilter[], code: string): Promise<string> {
  const here = (name: string) => JSON.stringify(join(import.meta.dirname, name));
  const whole = `
    import { spawnSync } from "node:child_process";
    import { readdirSync, readFileSync } from "node:fs";
    import { openLibseccomp } from ${here("libseccomp.ts")};
    import { prepareFilter } from ${here("prepare.ts")};
    const { numberOf } = await openLibseccomp();
    const run = (program, ...args) => {
      const { status, signal, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
      return (signal ?? status) + ": " + (stdout + stderr).trim();
    };
    /** The error of a call, by its name or number; 0 for none. */
    const call = (name, ...args) =>
      run("perl", "-e", "print syscall(" + [typeof name === "string" ? numberOf(name) : name, ...args].join(",") + ") == -1 ? $! + 0 : 0");
    const threads = () => readdirSync("/proc/self/task").map((thread) =>
      readFileSync("/proc/self/task/" + thread + "/status", "utf8").match(/^(NoNewPrivs|Seccomp|Seccomp_filters):.*/gm).join(" "));
    for (const filter of ${JSON.stringify([filters].flat())}) {
      (await prepareFilter(filter, ${JSON.stringify(me)})).load();
    }
    ${code}`;
  const options = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval"];
  const { ending, stdout, stderr } = await capture(
    {
      argv: [process.execPath, ...options, whole],
      environment: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
      workingDirectory: "/",
    },
    { timeoutSeconds: 60 },
  );
  assert.deepEqual([ending, stderr], [{ exitCode: 0 }, ""], stdout);
  return stdout.trim();
}

test("load() puts every thread under the filter, and all that the process starts", async () => {
  const printed = await under(
    blocking("unshare"),
    `const states = threads();
    console.log(states.length > 1, new Set(states).size, states[0]);
    console.log(run("unshare", "--user", "true"));`,
  );
  assert.match(
    printed,
    /^true 1 NoNewPrivs:\t1 Seccomp:\t2( Seccomp_filters:\t\d+)?\n1: unshare: .*: Operation not permitted$/,
  );
});

test("proveLoaded() throws where no filter has come", async () => {
  assert.throws(() => proveLoaded(threadStates()), { code: "downscope_failed", message: /a thread is not under it/ });
  const twice = `import(${JSON.stringify(join(import.meta.dirname, "prepare.ts"))}).then(({ proveLoaded, threadStates }) => {
    try { proveLoaded(threadStates()); console.log("believed"); } catch { console.log("not believed"); }
  });`;
  assert.equal(await under(blocking("unshare"), twice), "not believed", "the filter was there before");
});

test("load() adds to a filter under which the process is already", async () => {
  const printed = await under(
    [blocking("unshare"), blocking("personality")],
    'console.log(call("unshare", 0), call("personality", -1))',
  );
  assert.equal(printed, "0: 1 0: 1");
});

test("load() lets a call that is newer than Linux 5.0 fail as on a kernel without it, and a thread can still be made", async () => {
  const printed = await under(
    blocking("clone3", "pidfd_open"),
    'console.log(call("pidfd_open", process.pid, 0), call("clone3", 0, 0), run("true"))',
  );
  assert.equal(printed, "0: 38 0: 38 0:");
});

test("prepareFilter() allows what is named alone", async () => {
  const names = (await usualCalls()).filter((name) => name !== "personality" && name !== "close_range");
  const printed = await under(
    { kind: "allow", names, limitSetuid: false },
    'console.log(call("personality", -1), call("close_range", 500, 500, 0), call(423), call(5000), call("getppid") === "0: 0")',
  );
  assert.equal(printed, "0: 1 0: 38 0: 1 0: 38 true");
});

test("prepareFilter() keeps io_uring from programs and not from our own event loop, whichever of its calls is blocked", async () => {
  const wait = "await new Promise((resolve) => setTimeout(resolve, 1));";
  const tried = `${wait} console.log(call("io_uring_setup", 1, 0), call("io_uring_enter", -1, 0, 0, 0, 0))`;
  const control = await under(blocking("ptrace"), tried);
  assert.match(control, /^0: (?:14|1|38) 0: (?:9|38)$/, "EFAULT where the kernel has rings");
  for (const names of [["io_uring_enter"], ["io_uring_setup"], ["io_uring_setup", "io_uring_enter"]]) {
    assert.match(await under(blocking(...names), tried), /^0: 38 /, String(names));
  }
  const usual = (await usualCalls()).filter((name) => !name.startsWith("io_uring_"));
  for (const names of [usual, [...usual, "io_uring_setup"]]) {
    assert.match(await under({ kind: "allow", names, limitSetuid: false }, tried), /^0: 38 /);
  }
});

test("prepareFilter() lets no program of another architecture by", async (t) => {
  if (process.arch !== "x64") return t.skip("the programs of this test are for x86_64");
  const program = join(directory, "program32");
  writeFileSync(program, program32());
  chmodSync(program, 0o755);
  const filter = blocking("ptrace");
  // The system call `getpid` of x32.
  const x32 = await under(filter, "console.log(run('perl', '-e', 'print syscall(0x40000027)'))");
  assert.equal(x32, "SIGSYS:");
  const { ending } = await capture(
    { argv: [program], environment: {}, workingDirectory: "/" },
    { timeoutSeconds: 60 },
  ).catch(() => ({ ending: undefined }));
  if (ending === undefined || !("exitCode" in ending) || ending.exitCode !== 7)
    return t.skip("this kernel runs no programs for 32 bits");
  assert.equal(await under(filter, `console.log(run(${JSON.stringify(program)}))`), "SIGSYS:");
});

test("prepareFilter() leaves setuid and setgid for the owner's numbers alone, if it is to", async () => {
  const tried = `console.log(
    call("setuid", ${me.uid}), call("setgid", ${me.gid}), call("setuid", ${me.uid + 1}), call("setgid", ${me.gid + 1}),
    call("setuid", ${me.uid} + 2 ** 32), call("setresuid", -1, -1, -1))`;
  const expected = "0: 0 0: 0 0: 1 0: 1 0: 1 0: 1";
  assert.equal(await under({ kind: "block", names: [], limitSetuid: true }, tried), expected);
  const names = await usualCalls();
  assert.equal(await under({ kind: "allow", names, limitSetuid: true }, tried), expected);
  const without = names.filter((name) => name !== "setuid");
  const printed = await under({ kind: "allow", names: without, limitSetuid: true }, tried);
  assert.equal(printed, expected.replace("0: 0", "0: 1"));
});

test("load() says who may load a filter", async () => {
  const here = JSON.stringify(join(import.meta.dirname, "prepare.ts"));
  const owner = JSON.stringify({ ...me, noNewPrivs: false });
  const code = `import(${here}).then(({ prepareFilter }) => prepareFilter({ kind: "block", names: ["ptrace"] }, ${owner}))
    .then((filter) => filter.load()).catch((error) => console.log(error.code, error.message, error.hint))`;
  const without = me.uid === 0 ? ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"] : [];
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", "--eval", code] as const;
  const [program, ...args] = [...without, ...node];
  const { stdout } = await capture(
    { argv: [program ?? "", ...args], environment: { PATH: "/usr/bin:/bin" }, workingDirectory: "/" },
    { timeoutSeconds: 60 },
  );
  assert.match(stdout, /^downscope_failed .* the kernel refused it \(error \d+\) It takes CAP_SYS_ADMIN, /);
});

test("prepareFilter() says what it needs where Node.js cannot call a library", async () => {
  const here = JSON.stringify(join(import.meta.dirname, "prepare.ts"));
  const code = `import(${here}).then(({ prepareFilter }) => prepareFilter({ kind: "block", names: [] }, {})).catch((error) => console.log(error.code, error.message, error.hint))`;
  const { stdout } = await capture(
    { argv: [process.execPath, "--no-experimental-ffi", "--eval", code], environment: {}, workingDirectory: "/" },
    { timeoutSeconds: 60 },
  );
  assert.match(
    stdout,
    /^downscope_failed The filter on system calls cannot be set up: Node\.js \S+ has no node:ffi, .* Node\.js 26\.1 or newer\.\n$/,
  );
});

test("prepareFilter() refuses names of no system call, and takes those of other architectures", async () => {
  const names = ["ptrace", "no_such_call", "riscv_flush_icache", "s390_pci_mmio_read", "nor_this"];
  assert.deepEqual(await unknownCalls(names), ["no_such_call", "nor_this"]);
  await assert.rejects(prepareFilter(blocking(...names), me), {
    code: "config_invalid",
    message: '[auth.seccomp] names no system call: "no_such_call", "nor_this"',
  });
});
