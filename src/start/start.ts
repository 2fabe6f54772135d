import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Script } from "node:vm";
import { cacheFileOf, unpackCache, wrapped } from "./compiled-bundle.ts";

/**
 * What the launchers start: `node start.cjs BUNDLE ARGUMENT...` runs the bundle as `node BUNDLE ARGUMENT...` would, but with
 * the code that V8 compiled when the bundle was built. A job starts the program a dozen times, and compiling is a
 * third of what the program itself takes each time.
 *
 * The compiled code lies beside the bundle and is trusted like the bundle: whoever can write the one can write the other.
 * Nothing is ever written here. V8 refuses code of another version, or for other options, and then the text counts.
 */
process.argv.splice(1, 2, resolve(process.argv[2] ?? ""));
const loaded = new Map<string, { exports: unknown }>();
load(process.argv[1] ?? "");

/** Runs a bundle, once, and returns what it exports. */
function load(path: string): unknown {
  const known = loaded.get(path);
  if (known !== undefined) return known.exports;
  // A build refuses a bundle that is not ASCII, which is the fastest to read.
  const source = readFileSync(path, "latin1");
  const cachedData = compiledCodeOf(path, source);
  const script = new Script(wrapped(source), { filename: path, ...(cachedData === undefined ? {} : { cachedData }) });
  const compiled: unknown = script.runInThisContext();
  if (typeof compiled !== "function") throw new TypeError(`${path} is no bundle`);
  const module = { exports: {} };
  loaded.set(path, module);
  const require = (name: string) => (name.startsWith("./") ? load(join(dirname(path), name)) : builtIn(name));
  Reflect.apply(compiled, module.exports, [module.exports, require, module]);
  return module.exports;
}

function compiledCodeOf(path: string, source: string): Buffer | undefined {
  try {
    return unpackCache(readFileSync(cacheFileOf(path)), source);
  } catch {
    return undefined;
  }
}

function builtIn(name: string): object {
  const module = process.getBuiltinModule(name);
  if (module === undefined) throw new Error(`Node.js has no module "${name}"`);
  return module;
}
