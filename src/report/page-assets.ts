import { readFileSync } from "node:fs";
import type { PageAssets } from "./html.ts";

/**
 * The script and the style sheet of the page. In the program that ships, scripts/build.ts has put them here; from a
 * checkout they are what the last build made.
 */
export function pageAssets(): PageAssets {
  const made = new URL("../../dist/", import.meta.url);
  return {
    script: readFileSync(new URL("report-page.js", made), "utf8"),
    style: readFileSync(new URL("report-page.css", made), "utf8"),
  };
}
