// code-cache.ts INPUT OUTPUT ...: writes V8's compiled code of bundles. To be run with `--random-seed`, without which V8 puts
// random numbers into it, and by the Node.js that will read it.
import { readFileSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { wrapped } from "./wrapped.ts";

const paths = process.argv.slice(2);
for (let index = 0; index < paths.length; index += 2) {
  const [input = "", output = ""] = paths.slice(index, index + 2);
  const source = wrapped(readFileSync(input, "latin1"));
  // All functions are compiled, not only those that the file itself calls: this is what makes the cache worth its bytes.
  setFlagsFromString("--no-lazy");
  const script = new Script(source, { filename: "bundle" });
  // V8 takes a cache from the same flags only.
  setFlagsFromString("--lazy");
  const cachedData = script.createCachedData();
  if (new Script(source, { filename: "bundle", cachedData }).cachedDataRejected !== false) {
    throw new Error(`V8 refuses its own code cache of ${input}`);
  }
  writeFileSync(output, cachedData);
}
