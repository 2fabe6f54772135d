import { constants } from "node:os";
import { type Blame, type ErrorCode, errorCodes } from "./codes.ts";

/**
 * The one error that a user or an administrator may see. The message says what failed and on what; the hint says what
 * to do. Neither may hold a secret. Anything else that is thrown is a defect and is reported as `internal`.
 */
export class JacamarError extends Error {
  /** The program ships in a few bundles, each with a class of its own: an error of one must be known in the others. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "JacamarError" && "code" in value && isErrorCode(value.code);
  }

  override readonly name = "JacamarError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** What the job log shows, where the system log has more under it. */
  readonly id: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown; id?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.id = options.id;
  }

  get blame(): Blame {
    return errorCodes[this.code].blame;
  }
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code);
}

/**
 * The `code` of an error of Node's own (`ENOENT`, `EACCES`, …), or undefined for anything else. Node knows no name for some
 * of the system's numbers, a used up quota's (`EDQUOT`) among them: they get the system's name here.
 */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  const number = "errno" in error && typeof error.errno === "number" ? -error.errno : 0;
  if (!/^UNKNOWN$|^Unknown system error/.test(error.code) || number <= 0) return error.code;
  const known = Object.entries(constants.errno).find(([, value]) => value === number);
  return known?.[0] ?? error.code;
}
