import { whyUntrusted } from "../config/trusted-path.ts";

/**
 * Makes what is missing of a directory, and tells why it cannot be trusted; undefined when nobody but root and this
 * process's own account can have written what is in it, or exchanged it. It is 0700. Never throws.
 */
export function whyNotPrivate(directory: string): string | undefined {
  return whyUntrusted(directory, { forbidden: 0o077, sticky: false, makeDirectory: true });
}
