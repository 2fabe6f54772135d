// Makes the documentation a site in dist/site, and fails on a link that leads nowhere, a page that nothing leads to, and a sample
// of TOML, JSON or YAML that cannot be read. With --check nothing is written.
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { Marked, type Token, type Tokens } from "marked";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";

const checkout = join(import.meta.dirname, "..");
const outdir = join(checkout, "dist/site");
/** What the list of pages shows, in this order. A page of docs/ that no part names stands in the last. */
const parts: Readonly<Record<string, readonly string[]>> = {
  Start: ["README.md", "docs/installation.md", "docs/init.md", "examples/README.md", "docs/upgrading.md"],
  "For administrators": [
    "docs/administration.md",
    "docs/authorization.md",
    "docs/schedulers/nodes.md",
    "docs/schedulers/slurm.md",
    "docs/schedulers/flux.md",
    "docs/schedulers/pbs.md",
    "docs/schedulers/lsf.md",
    "docs/record.md",
    "docs/report.md",
    "docs/system-log.md",
  ],
  "For users": ["docs/users.md", "docs/podman.md", "docs/batch.md", "docs/when-things-go-wrong.md"],
  Reference: ["docs/configuration.md", "docs/commands.md", "docs/errors.md", "docs/check.md", "docs/doctor.md"],
  "About the program": [
    "SECURITY.md",
    "docs/architecture.md",
    "docs/performance.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
  ],
};
const listed = Object.values(parts).flat();
const pages = [...listed, ...globSync("docs/**/*.md", { cwd: checkout }).filter((path) => !listed.includes(path))];
const files = new Set([...pages, ...globSync("{LICENSE*,docs/*.json,examples/**,packaging/**}", { cwd: checkout })]);

interface Page {
  readonly path: string;
  readonly title: string;
  readonly tokens: readonly Token[];
  readonly anchors: ReadonlySet<string>;
}

const marked = new Marked();

function readPage(path: string): Page {
  const tokens = marked.lexer(readFileSync(join(checkout, path), "utf8"));
  const headings = all(tokens).filter((token): token is Tokens.Heading => token.type === "heading");
  const title = headings[0]?.text.replaceAll("`", "") ?? basename(path);
  return { path, title, tokens, anchors: new Set(headings.map(({ text }) => anchorOf(text))) };
}

/** As GitLab and GitHub name the place of a heading. */
function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");
}

function all(tokens: readonly Token[]): Token[] {
  const found: Token[] = [];
  void marked.walkTokens([...tokens], (token) => void found.push(token));
  return found;
}

function linkProblems({ path, tokens }: Page): string[] {
  return all(tokens).flatMap((token) => {
    if (token.type !== "link" && token.type !== "image") return [];
    const href = String(token["href"]);
    if (/^(?:https?|mailto):/.test(href)) return [];
    const [file = "", anchor] = href.split("#");
    const target = file === "" ? path : posix.normalize(posix.join(posix.dirname(path), file));
    if (target !== path) linked.add(target);
    const page = byPath.get(target);
    if (page === undefined) return files.has(target) ? [] : [`${path}: ${href} leads nowhere`];
    return anchor === undefined || page.anchors.has(anchor) ? [] : [`${path}: ${href} has no such heading`];
  });
}

const readers: Readonly<Record<string, (text: string) => unknown>> = {
  toml: parseToml,
  yaml: (text): unknown => parseYaml(text, { logLevel: "error", customTags: [referenceTag] }),
  json: (text): unknown => JSON.parse(text),
};

/** GitLab's `!reference [job, keyword]`. */
const referenceTag = { tag: "!reference", collection: "seq" as const, resolve: (value: unknown) => value };

function sampleProblems({ path, tokens }: Page): string[] {
  return all(tokens).flatMap((token) => {
    if (token.type !== "code") return [];
    const language = String(token["lang"] ?? "").split(" ")[0] ?? "";
    const reader = Object.hasOwn(readers, language) ? readers[language] : undefined;
    try {
      reader?.(String(token["text"]));
      return [];
    } catch (error) {
      const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
      return [`${path}: a sample of ${language} cannot be read: ${why}`];
    }
  });
}

function write(path: string, text: string): void {
  const target = join(outdir, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

function htmlPath(path: string): string {
  return path.replace(/(?:(^|\/)README)?\.md$/, (name, before?: string) =>
    name.endsWith("README.md") ? `${before ?? ""}index.html` : ".html",
  );
}

function isDirectory(path: string): boolean {
  return statSync(join(checkout, path), { throwIfNoEntry: false })?.isDirectory() === true;
}

/** A directory of examples that a page links to: its files, one after the other. */
function directoryPage(path: string): Page {
  const names = globSync(`${path}/{*,.*}`, { cwd: checkout })
    .filter((name) => !isDirectory(name))
    .toSorted();
  const text = names
    .map((name) => `## ${basename(name)}\n\n\`\`\`\n${readFileSync(join(checkout, name), "utf8").trimEnd()}\n\`\`\`\n`)
    .join("\n");
  return { path: `${path}/README.md`, title: path, tokens: marked.lexer(`# ${path}\n\n${text}`), anchors: new Set() };
}

/** Writes the pages, and what they link to beside them. Returns the links that lead nowhere in the site. */
function writeSite(): string[] {
  rmSync(outdir, { recursive: true, force: true });
  const others = [...linked].filter((path) => !byPath.has(path));
  const written = new Map<string, string>();
  for (const page of [...read, ...others.filter(isDirectory).map(directoryPage)]) {
    written.set(htmlPath(page.path), html(page));
  }
  for (const [path, text] of written) write(path, text);
  for (const path of others.filter((name) => !isDirectory(name))) {
    mkdirSync(dirname(join(outdir, path)), { recursive: true });
    copyFileSync(join(checkout, path), join(outdir, path));
    written.set(path, "");
  }
  return [...written].flatMap(([path, text]) =>
    [...text.matchAll(/ href="([^"#]+)(?:#([^"]*))?"/g)].flatMap(([, href = "", anchor]) => {
      if (/^(?:https?|mailto):/.test(href)) return [];
      const target = written.get(posix.normalize(posix.join(posix.dirname(path), href)));
      const isThere = target !== undefined && (anchor === undefined || target.includes(` id="${anchor}"`));
      return isThere ? [] : [`site: ${path}: ${href} leads nowhere`];
    }),
  );
}

function html(page: Page): string {
  const renderer = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const inner = /^(?:https?|mailto):/.test(href) ? href : siteLink(page, href);
        return `<a href="${escaped(inner)}">${this.parser.parseInline(tokens)}</a>`;
      },
      // A page is text: what looks like markup in it is none.
      html: ({ text }) => (text.startsWith("<!--") ? "" : escaped(text)),
    },
  });
  const up = "../".repeat(page.path.split("/").length - 1);
  const entry = ({ path, title }: Page): string => {
    const current = path === page.path ? ' aria-current="page"' : "";
    return `<li><a href="${up}${htmlPath(path)}"${current}>${escaped(title)}</a></li>`;
  };
  const list = Object.entries(parts).map(([part, paths], index, all) => {
    const own = read.filter(({ path }) => paths.includes(path) || (index === all.length - 1 && !listed.includes(path)));
    const inOrder = own.toSorted((a, b) => paths.indexOf(a.path) - paths.indexOf(b.path));
    return `<h2>${part}</h2>\n<ul>\n${inOrder.map(entry).join("\n")}\n</ul>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(page.title)}</title>
<style>${style}</style>
</head>
<body>
<a class="jump" href="#pages">All pages</a>
<main>
${withContents(page, renderer.parser([...page.tokens]))}
</main>
<nav id="pages" aria-label="All pages">
${list.join("\n")}
</nav>
</body>
</html>
`;
}

function siteLink(page: Page, href: string): string {
  const [file = "", anchor] = href.split("#");
  const target = file === "" ? page.path : posix.normalize(posix.join(posix.dirname(page.path), file));
  const path = htmlPath(isDirectory(target) ? `${target}/README.md` : target);
  const from = posix.dirname(page.path);
  return `${file === "" ? "" : posix.relative(from, path)}${anchor === undefined ? "" : `#${anchor}`}`;
}

/** A page of many parts begins with a list of them. */
function withContents(page: Page, body: string): string {
  const headings = page.tokens.filter(
    (token): token is Tokens.Heading => token.type === "heading" && token.depth === 2,
  );
  if (headings.length < 6) return body;
  const entries = headings.map(
    ({ text }) => `<li><a href="#${anchorOf(text)}">${escaped(text.replaceAll("`", ""))}</a></li>`,
  );
  const list = `<details class="contents"><summary>On this page</summary>\n<ul>\n${entries.join("\n")}\n</ul>\n</details>\n`;
  return body.replace("</h1>\n", (end) => end + list);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 52rem; min-width: 0; overflow-wrap: anywhere; }
nav { margin-top: 2rem; border-top: 1px solid var(--line); }
nav h2 { font-size: 1rem; margin: 1rem 0 0; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a[aria-current] { font-weight: bold; }
pre, table { display: block; overflow-x: auto; }
pre { padding: .75rem; border: 1px solid var(--line); }
td, th { overflow-wrap: break-word; padding: .25rem .5rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
@media (min-width: 64rem) {
  body { display: grid; grid-template-columns: 16rem 1fr; gap: 2rem; }
  nav { grid-column: 1; grid-row: 1; margin: 0; border: 0; }
  main { grid-column: 2; grid-row: 1; }
  .jump { display: none; }
}
@media print { nav, .jump { display: none; } }
`;

const read = pages.map(readPage);
const byPath = new Map(read.map((page) => [page.path, page]));
const linked = new Set(["README.md"]);
const problems = read.flatMap((page) => [...linkProblems(page), ...sampleProblems(page)]);
for (const { path } of read) if (!linked.has(path)) problems.push(`${path}: no page leads here`);
if (problems.length === 0 && !process.argv.includes("--check")) problems.push(...writeSite());
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
console.log(`documentation: ${read.length} pages, ${problems.length} problems`);
