import { basename } from "node:path";
import { getRawAsset } from "node:sea";
import { Script } from "node:vm";
import { cacheFileOf, unpackCache, wrapped } from "../../src/start/compiled-bundle.ts";

/**
 * What the single executable runs first. It holds all bundles, with their compiled code, and is both programs: its file's
 * name says which. (The name of the file and not the one that it was called by, which the caller chooses.)
 */
const program = basename(process.execPath).startsWith("jacamar-auth") ? "jacamar-auth.cjs" : "jacamar.cjs";

/**
 * They change how Node.js behaves, or make it write files, from its first moment on. NODE_OPTIONS is not here: the executable does not
 * heed it. Nor is OPENSSL_CONF: the executable names another file. Certificates and proxies are the site's to set.
 */
const steering = [
  "NODE_CHANNEL_FD",
  "NODE_CHANNEL_SERIALIZATION_MODE",
  "NODE_COMPILE_CACHE",
  "NODE_DEBUG",
  "NODE_DEBUG_NATIVE",
  "NODE_ICU_DATA",
  "NODE_PENDING_DEPRECATION",
  "NODE_REDIRECT_WARNINGS",
  "NODE_TEST_CONTEXT",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NODE_UNIQUE_ID",
  "NODE_V8_COVERAGE",
  "UV_USE_IO_URING",
];
if (steering.some((name) => process.env[name] !== undefined)) startAfresh();

const loaded = new Map<string, { exports: unknown }>();
const builtIn = require;
process.argv[1] = process.execPath; // see ownCommand()
load(program);

/**
 * Replaces this process by the same program without those variables. By way of env(1): a program that a process with the
 * capabilities of its file starts anew gains none, and the kernel would leave its memory to the service account
 * (`commit_creds`, credentials.rst of the kernel's documentation: "dumpable").
 */
function startAfresh(): never {
  const rest = Object.entries(process.env).filter(([name]) => !steering.includes(name));
  const environment: Record<string, string> = {};
  for (const [name, value] of rest) environment[name] = value ?? "";
  if (process.execve === undefined) throw new Error("this system has no execve");
  return process.execve("/usr/bin/env", ["env", "--", process.execPath, ...process.argv.slice(2)], environment);
}

/** Runs a bundle, once, and returns what it exports. */
function load(bundle: string): unknown {
  const known = loaded.get(bundle);
  if (known !== undefined) return known.exports;
  // A build refuses a bundle that is not ASCII, which is the fastest to read.
  const source = Buffer.from(getRawAsset(bundle)).toString("latin1");
  const cachedData = unpackCache(Buffer.from(getRawAsset(cacheFileOf(bundle))), source);
  const script = new Script(wrapped(source), { filename: bundle, ...(cachedData === undefined ? {} : { cachedData }) });
  const compiled: unknown = script.runInThisContext();
  if (typeof compiled !== "function") throw new TypeError(`${bundle} is no bundle`);
  const module = { exports: {} };
  loaded.set(bundle, module);
  Reflect.apply(compiled, module.exports, [module.exports, requireFor, module]);
  return module.exports;
}

/** A bundle asks for Node's own modules, and for the bundles that it needs only now. */
function requireFor(name: string): unknown {
  return name.startsWith("./") ? load(name.slice(2)) : builtIn(name);
}
