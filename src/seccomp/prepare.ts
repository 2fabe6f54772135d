import { readdirSync, readFileSync } from "node:fs";
import { JacamarError } from "../error/error.ts";
import { blocks, type CallFilter, identityCalls } from "./filter.ts";
import { type Action, action, type FirstArgument, type Libseccomp, openLibseccomp } from "./libseccomp.ts";

/** For whom a filter is, and by which right it is loaded. */
export interface FilterOwner {
  readonly uid: number;
  readonly gid: number;
  /** No program gains rights from its file any more, so no right is needed; else CAP_SYS_ADMIN is. */
  readonly noNewPrivs: boolean;
}

/** A filter that is ready to be loaded into this process. */
export interface ReadyFilter {
  /** It takes no right to load it, so it can wait until the process is the user's. */
  readonly noNewPrivs: boolean;
  /**
   * Loads it into all threads of this process, for good, and proves that it is there. All that the process starts inherits it. Throws
   * `downscope_failed`; the process may be in any state then.
   */
  load(): void;
}

/**
 * Calls from this number on are newer than Linux 5.0; they have the same numbers on every architecture (include/uapi/asm-generic/unistd.h).
 * Programs take the older ones where a kernel does not know them: the C library does so for `clone3`, `faccessat2`, `close_range` and more,
 * and fails when it hears that it may not.
 */
const firstNewCall = 424;

/** `io_uring_setup` and `io_uring_enter`, which older libraries do not know. */
const ringCalls = { setup: 425, enter: 426 } as const;

/**
 * Makes the filter of a configuration, without loading it. Throws `config_invalid` for a name that is no system call, and
 * `downscope_failed` where the machine cannot make it.
 */
export async function prepareFilter(wanted: CallFilter, owner: FilterOwner): Promise<ReadyFilter> {
  const library = await openLibseccomp();
  const otherwise = wanted.kind === "block" ? action.allow : action.notImplemented;
  const filter = library.newFilter(otherwise);
  for (const [number, answers] of rulesOf(library, wanted, owner)) {
    // The library takes no rule that says nothing new.
    for (const { what, when } of answers) if (what !== otherwise) filter.add(what, number, when);
  }
  return {
    noNewPrivs: owner.noNewPrivs,
    load: () => {
      const before = threadStates();
      filter.load(owner.noNewPrivs);
      proveLoaded(before);
    },
  };
}

/** The names that are no system call of any architecture that the machine's libseccomp knows. Throws `downscope_failed`. */
export async function unknownCalls(names: readonly string[]): Promise<string[]> {
  const library = await openLibseccomp();
  return names.filter((name) => library.numberOf(name) === undefined);
}

interface Answer {
  readonly what: Action;
  readonly when?: FirstArgument;
}

/** What becomes of calls, by their number. A call without a rule gets the answer of the whole filter. */
type Rules = Map<number, readonly Answer[]>;

function rulesOf(library: Libseccomp, wanted: CallFilter, owner: FilterOwner): Rules {
  const rules: Rules = new Map();
  const named = numbersOf(library, wanted.names);
  if (wanted.kind === "block") {
    for (const number of named) rules.set(number, refusal(number));
  } else {
    for (let number = 0; number < firstNewCall; number += 1) rules.set(number, refusal(number));
    for (const number of named) rules.set(number, [{ what: action.allow }]);
  }
  if (blocks(wanted, "io_uring_enter")) blockRings(rules);
  if (wanted.limitSetuid) limitIdentity(library, rules, wanted, owner);
  return rules;
}

/**
 * `io_uring_enter` works on rings that `io_uring_setup` has made. Node's event loop has made its own when the program starts, and the process
 * would abort without the first call (`uv__epoll_ctl_flush` in libuv's src/unix/linux.c). So the second one is blocked: nobody else
 * has a ring then, since no program that is started inherits one.
 */
function blockRings(rules: Rules): void {
  rules.set(ringCalls.setup, refusal(ringCalls.setup));
  rules.set(ringCalls.enter, [{ what: action.allow }]);
}

/** `limit_setuid`. */
function limitIdentity(library: Libseccomp, rules: Rules, wanted: CallFilter, owner: FilterOwner): void {
  for (const number of numbersOf(library, identityCalls.others)) rules.set(number, refusal(number));
  for (const [call, to] of [
    [identityCalls.ofUser, owner.uid],
    [identityCalls.ofGroup, owner.gid],
  ] as const) {
    if (blocks(wanted, call)) continue;
    const own: Answer = { what: action.allow, when: { is: "equal", to } };
    const other: Answer = { what: action.notPermitted, when: { is: "not equal", to } };
    for (const number of numbersOf(library, [call])) rules.set(number, [own, other]);
  }
}

function refusal(number: number): readonly Answer[] {
  return [{ what: number < firstNewCall ? action.notPermitted : action.notImplemented }];
}

/** Their numbers here; a call that only other architectures have needs no rule. Throws `config_invalid`. */
function numbersOf(library: Libseccomp, names: readonly string[]): number[] {
  const numbers: number[] = [];
  const unknown: string[] = [];
  for (const name of names) {
    const number = library.numberOf(name);
    if (number === undefined) unknown.push(`"${name}"`);
    else if (number !== "elsewhere") numbers.push(number);
  }
  if (unknown.length === 0) return numbers;
  throw new JacamarError("config_invalid", `[auth.seccomp] names no system call: ${unknown.join(", ")}`, {
    hint: "This machine's libseccomp knows no call of that name. jacamar check says where it stands.",
  });
}

/** What the kernel says of a thread. */
interface ThreadState {
  readonly mode: string;
  readonly filters: number | undefined;
}

/** Of each thread of this process, by its number: `Seccomp` and `Seccomp_filters` of its status (proc(5)); the second is newer than Linux 5.8. */
export function threadStates(): Map<string, ThreadState> {
  return new Map(
    readdirSync("/proc/self/task").map((thread) => {
      const status = readFileSync(`/proc/self/task/${thread}/status`, "utf8");
      const filters = /^Seccomp_filters:\s*(\d+)$/m.exec(status)?.[1];
      return [
        thread,
        {
          mode: /^Seccomp:\s*(\d+)$/m.exec(status)?.[1] ?? "",
          filters: filters === undefined ? undefined : Number(filters),
        },
      ];
    }),
  );
}

/** `SECCOMP_MODE_FILTER` of linux/seccomp.h. */
const filterMode = "2";

/** Throws `downscope_failed` unless every thread is under one filter more than before; the process may have been under some already. */
export function proveLoaded(before: ReadonlyMap<string, ThreadState>): void {
  const after = threadStates();
  const counts = [...before.values()].map(({ filters }) => filters ?? 0);
  const most = Math.max(0, ...counts);
  const isUnder = [...after.values()].every(
    ({ mode, filters }) => mode === filterMode && (filters === undefined || filters > most),
  );
  if (isUnder && after.size > 0) return;
  throw new JacamarError("downscope_failed", "The filter on system calls is not in force: a thread is not under it", {
    hint: "Nothing was run. This is a defect of the kernel or of libseccomp.",
  });
}
