/**
 * The bundle as a function of `exports`, `require` and `module`, as Node's own loader wraps a file. V8 takes a code cache for the
 * very same text only, so what makes the cache and what uses it share this.
 */
export function wrapped(source: string): string {
  return `(function (exports, require, module) {${source}\n})`;
}

/** The name under which the code cache of a bundle lies in the executable. */
export function cacheName(bundle: string): string {
  return `${bundle}.cache`;
}
