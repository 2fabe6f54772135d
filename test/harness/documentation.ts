import { globSync, readFileSync } from "node:fs";
import { checkout } from "./machine.ts";

/** The pages of the documentation, as paths below the checkout. */
export const pages: readonly string[] = ["README.md", ...globSync("docs/**/*.md", { cwd: checkout(".") }).toSorted()];

/** Something that a page offers to copy. */
export interface Sample {
  readonly page: string;
  readonly line: number;
  /** The nearest heading above. */
  readonly heading: string;
  readonly text: string;
}

/** The samples of a language on a page, in their order. */
export function samplesOf(page: string, language: string): Sample[] {
  const samples: Sample[] = [];
  let heading = "";
  let begun: { line: number; lines: string[] } | undefined;
  for (const [index, line] of readFileSync(checkout(page), "utf8").split("\n").entries()) {
    if (begun && line.trim() === "```") {
      samples.push({ page, line: begun.line, heading, text: begun.lines.join("\n") });
      begun = undefined;
    } else if (begun) begun.lines.push(line);
    else if (line.trim() === `\`\`\`${language}`) begun = { line: index + 1, lines: [] };
    else if (/^#+ /.test(line)) heading = line.replace(/^#+ /, "");
  }
  return samples;
}
