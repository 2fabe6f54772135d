import { readFileSync } from "node:fs";
import { checkout } from "./machine.ts";

/** The lines of docs/administration.md that let an account open the door with sudo, for the programs of a directory. */
export function sudoersLines(account: string, directory: string): string {
  const guide = readFileSync(checkout("docs/administration.md"), "utf8");
  const [, lines] = /^```sudoers\n(.*?)^```$/ms.exec(guide) ?? [];
  if (lines === undefined) throw new Error("docs/administration.md has lost its lines for sudoers");
  // Each account has an alias of its own: aliases are known in all files of sudoers.d.
  const alias = `JACAMAR_${account.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
  return lines
    .replaceAll("/opt/jacamar/bin", directory)
    .replaceAll(/\bgitlab-runner\b/g, account)
    .replaceAll(/\bJACAMAR\b/g, alias);
}
