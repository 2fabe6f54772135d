// Makes the documentation a site in dist/site, and fails on a link that leads nowhere, a page that nothing leads to, and a sample
// of TOML, JSON or YAML that cannot be read. With --check nothing is written.
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { Marked, type Token, type Tokens } from "marked";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";

const checkout = join(import.meta.dirname, "..");
const outdir = join(checkout, "dist/site");
const pages = [
  "README.md",
  "SECURITY.md",
  "CONTRIBUTING.md",
  ...globSync("docs/**/*.md", { cwd: checkout }).toSorted(),
];
const files = new Set([
  ...pages,
  ...globSync("{LICENSE*,CHANGELOG.md,docs/*.json,examples/**,packaging/**}", { cwd: checkout }),
]);

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

function write(page: Page): void {
  const target = join(outdir, htmlPath(page.path));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, html(page));
}

function htmlPath(path: string): string {
  return path === "README.md" ? "index.html" : path.replace(/\.md$/, ".html");
}

function html(page: Page): string {
  const renderer = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const inner = /^(?:https?|mailto):/.test(href)
          ? href
          : href.replace(/(?:README)?\.md(?=#|$)/, (name) => (name === "README.md" ? "index.html" : ".html"));
        return `<a href="${escaped(inner)}">${this.parser.parseInline(tokens)}</a>`;
      },
      // A page is text: what looks like markup in it is none.
      html: ({ text }) => (text.startsWith("<!--") ? "" : escaped(text)),
    },
  });
  const up = "../".repeat(page.path.split("/").length - 1);
  const list = read.map(({ path, title }) => {
    const current = path === page.path ? ' aria-current="page"' : "";
    return `<li><a href="${up}${htmlPath(path)}"${current}>${escaped(title)}</a></li>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(page.title)}</title>
<style>${style}</style>
<nav><ul>${list.join("\n")}</ul></nav>
<main>
${renderer.parser([...page.tokens])}
</main>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const style = `
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
nav ul { list-style: none; padding: 0; columns: 14rem; }
nav a[aria-current] { font-weight: bold; }
main { max-width: 52rem; overflow-wrap: anywhere; }
pre, table { display: block; overflow-x: auto; }
pre { padding: .75rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
td, th { padding: .25rem .5rem; text-align: left; vertical-align: top; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
`;

const read = pages.map(readPage);
const byPath = new Map(read.map((page) => [page.path, page]));
const linked = new Set(["README.md"]);
const problems = read.flatMap((page) => [...linkProblems(page), ...sampleProblems(page)]);
for (const { path } of read) if (!linked.has(path)) problems.push(`${path}: no page leads here`);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else if (!process.argv.includes("--check")) for (const page of read) write(page);
console.log(`documentation: ${read.length} pages, ${problems.length} problems`);
