import { systemErrorCode } from "../error/error.ts";

/** Why an entry could not be written, as the end of the sentence "Cannot write the system log: …". */
export class LogFailure extends Error {
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.hint = options.hint;
  }
}

/** A system's error in words. */
export function failureReason(error: unknown): string {
  const code = systemErrorCode(error);
  switch (code) {
    case "ENOSPC":
      return "the file system is full";
    case "EDQUOT":
      return "the quota is used up";
    case "ECONNREFUSED":
      return "nobody listens there";
    case undefined:
      return error instanceof Error ? error.message : String(error);
    default:
      return code;
  }
}
