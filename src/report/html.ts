import { createHash } from "node:crypto";
import type { PageData } from "./page-data.ts";

/** What the page is made of beside its data; see scripts/build.ts. */
export interface PageAssets {
  readonly script: string;
  readonly style: string;
}

/**
 * The page as one HTML document that asks for nothing else. It may run its one script and use its one style sheet, which the
 * browser knows by their digests, and nothing that a text of the data could bring in; the script may not make markup of a
 * text at all (`require-trusted-types-for`). The data is no script: `<` in it is escaped, so it ends only where it should.
 */
export function htmlPage(data: PageData, { script, style }: PageAssets): string {
  const policy = [
    "default-src 'none'",
    `script-src '${digestOf(script)}'`,
    `style-src '${digestOf(style)}'`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escaped(data.title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<noscript><p>This page draws its charts and tables itself, and needs JavaScript for that. It loads nothing.</p></noscript>
<main id="page"></main>
<script type="application/json" id="data">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>
<script>${script}</script>
</body>
</html>
`;
}

function digestOf(text: string): string {
  // Nothing in it may end the element early: the digest would not fit, and the page would not work.
  if (/<\/(?:script|style)|<!--/i.test(text)) throw new Error("a script or style sheet that ends its own element");
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
