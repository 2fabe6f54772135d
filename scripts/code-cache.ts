import { readFileSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { packCache, sealOf, wrapped } from "../src/start/compiled-bundle.ts";

/**
 * code-cache BUNDLE OUTPUT ...: writes V8's compiled code of bundles. To be run by the Node.js that will read it, and with
 * `--random-seed`: V8 gives strings a hash from a random seed, and the hashes stand in the code.
 */
const paths = process.argv.slice(2);
for (let index = 0; index < paths.length; index += 2) {
  const [bundle = "", output = ""] = paths.slice(index, index + 2);
  const text = readFileSync(bundle, "latin1");
  const source = wrapped(text);
  // All functions are compiled, not only those that the file itself calls: this is what makes the cache worth its bytes.
  setFlagsFromString("--no-lazy");
  const script = new Script(source, { filename: "bundle" });
  // V8 takes compiled code from the same flags only.
  setFlagsFromString("--lazy");
  const cachedData = script.createCachedData();
  if (new Script(source, { filename: "bundle", cachedData }).cachedDataRejected !== false) {
    throw new Error(`V8 refuses its own compiled code of ${bundle}`);
  }
  writeFileSync(output, packCache(sealOf(text), cachedData));
}
