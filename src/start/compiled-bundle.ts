/**
 * A bundle and V8's compiled code of it, as `scripts/build.ts` writes them side by side: `jacamar.cjs` and
 * `jacamar.cjs.cache`. V8 itself only looks at the length of the text that a cache belongs to, so both files carry the
 * seal of the text: the bundle in its last line, the cache before V8's data. A build that is replacing the files one by
 * one never makes old code run for new.
 */

/** Characters of a seal: a SHA-256 sum in hexadecimal digits. */
const sealLength = 64;

/** The bundle with the seal of its text. */
export function sealed(text: string, seal: string): string {
  return `${text}// ${seal}\n`;
}

/** The seal of a bundle's file; some text that is no seal for a file without. */
export function sealOf(source: string): string {
  return source.slice(-sealLength - 1, -1);
}

/**
 * The bundle as a function of `exports`, `require` and `module`, as Node's own loader wraps a file. V8 takes a cache for
 * the very same text alone.
 */
export function wrapped(source: string): string {
  return `(function (exports, require, module) {${source}\n})`;
}

/** The name of the cache's file. */
export function cacheFileOf(bundle: string): string {
  return `${bundle}.cache`;
}

/** The content of the cache's file. */
export function packCache(seal: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(seal, "latin1"), data]);
}

/** V8's data out of a cache's file; undefined when it is not of this bundle. */
export function unpackCache(file: Buffer, source: string): Buffer | undefined {
  return file.toString("latin1", 0, sealLength) === sealOf(source) ? file.subarray(sealLength) : undefined;
}
