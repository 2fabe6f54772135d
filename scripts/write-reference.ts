// Writes the reference pages and docs/jacamar.schema.json from the sources. With --check it only says what is out of date.
import { readFileSync, writeFileSync } from "node:fs";
import { commandsPage } from "../packaging/manual/commands-page.ts";
import { checkReference } from "../src/check/reference.ts";
import { configurationJsonSchema } from "../src/config/json-schema.ts";
import { doctorReference } from "../src/doctor/reference.ts";
import { errorReference } from "../src/error/reference.ts";
import { configurationReference } from "../src/config/reference.ts";

const pages = {
  "check.md": checkReference(),
  "doctor.md": doctorReference(),
  "errors.md": errorReference(),
  "commands.md": commandsPage(),
  "configuration.md": configurationReference(),
  "jacamar.schema.json": `${JSON.stringify(configurationJsonSchema(), undefined, 2)}\n`,
};

for (const [name, text] of Object.entries(pages)) {
  const url = new URL(`../docs/${name}`, import.meta.url);
  if (!process.argv.includes("--check")) writeFileSync(url, text);
  else if (read(url) !== text) {
    console.error(`docs/${name} is out of date: run npm run docs`);
    process.exitCode = 1;
  }
}

function read(url: URL): string | undefined {
  try {
    return readFileSync(url, "utf8");
  } catch {
    return undefined;
  }
}
