import { systemErrorCode } from "../error/error.ts";
import { type Check, isExpected, type Outcome } from "./check.ts";
import type { Subject } from "./subject.ts";

/** What came of a check. */
export interface Looked {
  readonly check: Check;
  readonly outcome: Outcome | { readonly kind: "unknown"; readonly why: string };
  readonly milliseconds: number;
}

/**
 * Makes all checks at once, each for at most so many seconds. One that does not come to an end, or that the system hinders,
 * says so, and hinders no other.
 */
export function lookAll(checks: readonly Check[], subject: Subject, limitSeconds: number): Promise<Looked[]> {
  return Promise.all(
    checks.map(async (check) => {
      const started = performance.now();
      const outcome = await Promise.race([lookOnce(check, subject), timeout(limitSeconds, subject.stop)]);
      return { check, outcome, milliseconds: Math.round(performance.now() - started) };
    }),
  );
}

async function lookOnce(check: Check, subject: Subject): Promise<Looked["outcome"]> {
  try {
    return await check.look(subject);
  } catch (error) {
    if (isExpected(error)) return { kind: "unknown", why: error.message };
    const code = systemErrorCode(error);
    if (code !== undefined) return { kind: "unknown", why: `the system refused to tell (${code})` };
    throw error;
  }
}

function timeout(seconds: number, stop: AbortSignal): Promise<Looked["outcome"]> {
  return new Promise((resolve) => {
    const late = () => resolve({ kind: "unknown", why: `it did not end within ${seconds} s` });
    setTimeout(late, seconds * 1000).unref();
    stop.addEventListener("abort", late, { once: true });
  });
}
