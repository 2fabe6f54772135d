import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { build, type OutputFile, type Plugin } from "esbuild";
import { cacheFileOf, sealed } from "../src/start/compiled-bundle.ts";

/**
 * Makes what ships: the bundle `dist/jacamar.cjs`, what it reads only when it is needed, V8's compiled code of these, and the
 * launcher `dist/jacamar`. Each file is replaced at once, so a job that starts during a build gets the old program or the
 * new one, whole.
 *
 * `--entry FILE` and `--outdir DIRECTORY` are for trying this script.
 */
const { values } = parseArgs({ options: { entry: { type: "string" }, outdir: { type: "string" } } });
const checkout = join(import.meta.dirname, "..");
const outdir = values.outdir ?? join(checkout, "dist");

/**
 * What most stages never need, and what makes a bundle twice as large: each becomes a file of its own, read only when it is
 * asked for. A job starts the program a dozen times, and reading 250 kB more costs each start some milliseconds.
 */
const lazyModules: Readonly<Record<string, string>> = {
  "jacamar-check.cjs": "src/check/check.ts",
  "jacamar-explain-failure.cjs": "src/command/explain-failure.ts",
  "jacamar-doctor.cjs": "src/command/doctor.ts",
  "jacamar-cdi.cjs": "src/doctor/cdi.ts",
  "jacamar-explain.cjs": "src/explain/explain.ts",
  "jacamar-init.cjs": "src/init/init.ts",
  "jacamar-reap.cjs": "src/reap/reap.ts",
  "jacamar-record.cjs": "src/record/recorder.ts",
  "jacamar-report.cjs": "src/report/report.ts",
  "jacamar-try.cjs": "src/try/try.ts",
  "jacamar-help.cjs": "src/terminal/program-help.ts",
  "jacamar-unclear-call.cjs": "src/terminal/unclear-call.ts",
  "jacamar-prepare.cjs": "src/command/prepare.ts",
  "jacamar-cleanup.cjs": "src/command/cleanup.ts",
  "jacamar-defect.cjs": "src/system-log/defect.ts",
  "jacamar-config.cjs": "src/command/config.ts",
  "jacamar-decide.cjs": "src/command/authorised-config.ts",
  "jacamar-archives.cjs": "src/command/archives.ts",
  "jacamar-batch.cjs": "src/command/batch-stage.ts",
  "jacamar-batch-cleanup.cjs": "src/command/batch-cleanup.ts",
  "jacamar-static-builds.cjs": "src/command/static-builds.ts",
  "jacamar-patterns.cjs": "src/config/patterns.ts",
  "jacamar-seccomp.cjs": "src/seccomp/prepare.ts",
  "jacamar-place.cjs": "src/config/place.ts",
};

const lazyFiles: Plugin = {
  name: "lazy-files",
  setup(bundle) {
    bundle.onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) => {
      if (kind !== "dynamic-import") return undefined;
      const source = relative(checkout, join(resolveDir, path));
      const file = Object.keys(lazyModules).find((name) => lazyModules[name] === source);
      return file === undefined ? undefined : { path: `./${file}`, external: true };
    });
  },
};

/** What the launchers start: it runs a bundle with its compiled code. */
const start = "start.cjs";

/**
 * Of Node.js and V8. A warning of Node's is nothing that a reader of a job log could act on. With V8's own first 1 MiB for new
 * objects a stage stops to collect garbage just before it would end. Threads for V8's background work have nothing to do in so
 * short a time, and count against a user's limit of processes. On SIGUSR1, which users may send to a process of theirs, Node.js
 * would open its debugger to everybody on this machine: the door of jacamar-auth does not open then.
 */
const nodeOptions = "--disable-sigusr1 --disable-warning=ExperimentalWarning --min-semi-space-size=2 --v8-pool-size=1";

/** The page of `jacamar report` runs in a browser: its script and style sheet are bundled first, and become texts in the program. */
async function pageAssets(): Promise<{ script: string; style: string }> {
  const licence = readFileSync(join(checkout, "node_modules/uplot/LICENSE"), "utf8").trim();
  const made = await build({
    entryPoints: { script: join(checkout, "src/report/page/main.ts") },
    outdir: "page",
    write: false,
    bundle: true,
    format: "iife",
    platform: "browser",
    target: ["chrome109", "firefox115", "safari16"],
    minify: true,
    legalComments: "none",
    banner: { js: `/* Charts by uPlot.\n${licence}\n*/` },
    logLevel: "warning",
  });
  const style = await build({
    stdin: {
      contents: '@import "uplot/dist/uPlot.min.css";\n@import "./src/report/page/style.css";',
      resolveDir: checkout,
      loader: "css",
    },
    write: false,
    bundle: true,
    minify: true,
    logLevel: "warning",
  });
  return { script: made.outputFiles[0]?.text ?? "", style: style.outputFiles[0]?.text ?? "" };
}

const page = await pageAssets();

const pageTexts: Plugin = {
  name: "page-texts",
  setup(bundle) {
    bundle.onLoad({ filter: /\/src\/report\/page-assets\.ts$/ }, () => ({
      contents: `export function pageAssets() { return ${JSON.stringify(page)}; }`,
      loader: "js",
    }));
  },
};

const entries: Readonly<Record<string, string>> = values.entry
  ? { "jacamar.cjs": values.entry, [start]: "src/start/start.ts" }
  : {
      "jacamar.cjs": "src/main.ts",
      "jacamar-auth.cjs": "src/main-auth.ts",
      [start]: "src/start/start.ts",
      ...lazyModules,
    };
const bundles = await Promise.all(
  Object.entries(entries).map(([file, source]) => bundleOf(isAbsolute(source) ? source : join(checkout, source), file)),
);

async function bundleOf(entry: string, file: string) {
  return build({
    entryPoints: [entry],
    // Paths that stand in a bundle are from here, wherever this script is called.
    absWorkingDir: checkout,
    outfile: join(outdir, file),
    write: false,
    bundle: true,
    // A CommonJS bundle starts faster than a module, and a smaller file is read faster. Names stay: a stack must be readable.
    format: "cjs",
    platform: "node",
    target: "node26",
    // `import()` becomes `require()`: compiled code and a single executable have only that.
    supported: { "dynamic-import": false },
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
    plugins: [lazyFiles, pageTexts],
    // Neither has a value in such a bundle: what would break only when it ships must break here.
    logOverride: { "empty-import-meta": "error", "unsupported-dynamic-import": "error" },
  });
}

mkdirSync(outdir, { recursive: true });
const files = bundles.flatMap(({ outputFiles }) => outputFiles);
for (const file of files) replace(file.path, withSeal(file));
writeCodeCaches(files.map((file) => file.path).filter((path) => basename(path) !== start));
if (values.entry === undefined) {
  // What a checkout that is run without a build reads.
  replace(join(outdir, "report-page.js"), page.script);
  replace(join(outdir, "report-page.css"), page.style);
}
replace(join(outdir, "meta.json"), JSON.stringify(bundles.map(({ metafile }) => metafile)));
// For editors: `jacamar init` names it in the first line of the file that it writes.
replace(join(outdir, "jacamar.schema.json"), readFileSync(join(checkout, "docs/jacamar.schema.json")));
replace(join(outdir, "jacamar"), launcher("jacamar.cjs", ["node"]), 0o755);
// `node-auth` is a Node.js that a service account alone may run, with the capabilities to become another user.
replace(join(outdir, "jacamar-auth"), launcher("jacamar-auth.cjs", ["node-auth", "node"]), 0o755);

for (const file of files) {
  console.log(`${basename(file.path)}: ${Math.round(file.contents.length / 1024)} kB`);
}

function withSeal({ path, text }: OutputFile): string {
  if (/[^\p{ASCII}]/u.test(text)) throw new Error(`${path} is not ASCII`);
  return sealed(text, createHash("sha256").update(text).digest("hex"));
}

/** By the Node.js that will read them: V8 refuses the compiled code of another. */
function writeCodeCaches(bundlePaths: readonly string[]): void {
  const caches = bundlePaths.map(cacheFileOf);
  const pairs = bundlePaths.flatMap((path, index) => [path, temporaryOf(caches[index] ?? "")]);
  const script = join(import.meta.dirname, "code-cache.ts");
  execFileSync(process.execPath, ["--random-seed=1", script, ...pairs], { stdio: ["ignore", "ignore", "inherit"] });
  for (const path of caches) publish(path, 0o644);
}

function replace(path: string, contents: string | Uint8Array, mode = 0o644): void {
  writeFileSync(temporaryOf(path), contents);
  publish(path, mode);
}

function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}`);
}

/** Puts a file that was written under its temporary name in the place of the one before. */
function publish(path: string, mode: number): void {
  chmodSync(temporaryOf(path), mode); // whatever the umask: another user is to run it
  renameSync(temporaryOf(path), path);
}

/** The shell script that finds Node.js and starts the bundle with it. `sh` alone is started: this happens on each call. */
function launcher(bundle: string, nodes: readonly string[]): string {
  const beside = nodes.map((name) => `if [ -x "$here/${name}" ]; then\n  node=$here/${name}\nel`).join("");
  return `#!/bin/sh
# Starts ${bundle} with the Node.js beside it, else that of the checkout, else one on PATH that is new enough.

# They would run code of others in this program, or change how it behaves. Certificates (NODE_EXTRA_CA_CERTS,
# SSL_CERT_FILE) and proxies are the site's to set.
unset NODE_OPTIONS NODE_PATH NODE_COMPILE_CACHE NODE_REDIRECT_WARNINGS NODE_REPL_EXTERNAL_MODULE NODE_V8_COVERAGE \\
  NODE_TLS_REJECT_UNAUTHORIZED NODE_ICU_DATA NODE_DEBUG NODE_DEBUG_NATIVE NODE_PENDING_DEPRECATION NODE_CHANNEL_FD \\
  NODE_CHANNEL_SERIALIZATION_MODE NODE_UNIQUE_ID NODE_TEST_CONTEXT UV_USE_IO_URING OPENSSL_CONF OPENSSL_MODULES OPENSSL_ENGINES

self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -h "$self" ]; do
  link=$(readlink -- "$self")
  case $link in /*) self=$link ;; *) self=\${self%/*}/$link ;; esac
done
here=\${self%/*}

${beside}if [ -x "$here/../node_modules/node/bin/node" ]; then
  node=$here/../node_modules/node/bin/node
else
  node=$(command -v node) && major=$("$node" --version) && major=\${major#v} && [ "\${major%%.*}" -ge 26 ] || {
    echo "jacamar: Node.js 26 or newer was found neither in $here nor on PATH" >&2
    exit "\${SYSTEM_FAILURE_EXIT_CODE:-1}"
  }
fi
exec "$node" ${nodeOptions} "$here/${start}" "$here/${bundle}" "$@"
`;
}
