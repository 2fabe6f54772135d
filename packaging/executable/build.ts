import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { cacheFileOf } from "../../src/start/compiled-bundle.ts";

/** What makes an executable. */
export interface Parts {
  /** The directory of `scripts/build.ts`: its `*.cjs` go in. */
  readonly bundles: string;
  /** The Node.js that the executable is made of. It also makes it: their versions must be the same. */
  readonly node: string;
  /** The file to write. */
  readonly output: string;
}

/** Its path stands in the executable: so it is a name, and not that of a temporary directory. */
const main = "start.cjs";

/** V8 gives strings a hash from a random seed, and the hashes stand in the code cache. */
const fixedSeed = "--random-seed=1";

/**
 * Makes the single executable that is both programs. From the same parts come the same bytes.
 * Throws when a program that it needs is missing (`strip`), or fails.
 */
export async function buildExecutable({ bundles, node, output }: Parts): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "jacamar-executable-"));
  try {
    // Symbols are a quarter of its size. Afterwards would break the file.
    const stripped = join(work, "node");
    execFileSync("strip", ["-o", stripped, node]);
    await bundleStart(join(work, main));
    const configuration = join(work, "sea.json");
    writeFileSync(
      configuration,
      JSON.stringify({
        main,
        executable: stripped,
        output,
        disableExperimentalSEAWarning: true,
        // NODE_OPTIONS would run code of others in it, as root.
        execArgvExtension: "none",
        // An OpenSSL configuration, too, can load code: OPENSSL_CONF counts only where this is not said. A warning of Node's is
        // nothing that a reader of a job log could act on. The others are those of scripts/build.ts.
        execArgv: [
          "--disable-sigusr1",
          "--no-warnings",
          "--openssl-config=/dev/null",
          "--min-semi-space-size=2",
          "--v8-pool-size=1",
        ],
        // For its speed, and because with it Node does not look for compiled code in NODE_COMPILE_CACHE.
        useCodeCache: true,
        assets: makeAssets(bundles),
      }),
    );
    execFileSync(node, [fixedSeed, "--build-sea", configuration], {
      cwd: work,
      stdio: ["ignore", "ignore", "inherit"],
    });
    chmodSync(output, 0o755);
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function bundleStart(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, "start.ts")],
    absWorkingDir: import.meta.dirname,
    outfile,
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node26",
    minifyWhitespace: true,
    logLevel: "warning",
  });
}

/** Each bundle, and V8's compiled code of it, but not what starts them where they are files. */
function makeAssets(bundles: string): Record<string, string> {
  const names = readdirSync(bundles)
    .filter((name) => name.endsWith(".cjs") && name !== main)
    .toSorted();
  const files = names.flatMap((name) => [name, cacheFileOf(name)]);
  return Object.fromEntries(files.map((name) => [name, join(bundles, name)]));
}
