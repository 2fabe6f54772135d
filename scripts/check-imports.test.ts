import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkImports } from "./check-imports.ts";

/** The violations of some files, as `file:line message`. */
function check(files: Readonly<Record<string, string>>): string[] {
  return checkImports(new Map(Object.entries(files))).map(({ file, line, message }) => `${file}:${line} ${message}`);
}

describe("checkImports()", () => {
  test("lets a room import from the rooms below it and from itself", () => {
    const files = {
      "main.ts": 'import { a } from "./command/a.ts";\nawait import("./try/t.ts");',
      "try/t.ts": 'import { parse } from "yaml";',
      "command/a.ts": 'import type { J } from "../gitlab/job.ts";\nimport { b } from "./b.ts";',
      "command/b.ts": 'import { readFileSync } from "node:fs";\nimport { version } from "../version.ts";',
      "gitlab/job.ts": 'export { JacamarError } from "../error/error.ts";',
      "gitlab/job.test.ts": 'import { x } from "../../test/harness/machine.ts";\nimport fc from "fast-check";',
      "error/error.ts": "",
      "version.ts": 'import manifest from "../package.json" with { type: "json" };',
      "process/run.ts": 'import { spawn } from "node:child_process";',
      "downscope/setuid.ts": "process.setuid?.(1);",
    };
    assert.deepEqual(check(files), []);
  });

  test("refuses to look ahead, in every form of import", () => {
    const forms = [
      'import { c } from "../command/c.ts";',
      'import type { C } from "../command/c.ts";',
      'import {\n  c,\n  type D,\n} from "../command/c.ts";',
      'export { c } from "../command/c.ts";',
      'export type { C } from "../command/c.ts";',
      'export * from "../command/c.ts";',
      'import "../command/c.ts";',
      'const c = await import("../command/c.ts");',
      'let c: import("../command/c.ts").C;',
      "import c, * as all from '../command/c.ts';",
    ];
    for (const form of forms) {
      const line = form.split("\n").length;
      const expected = [`gitlab/a.ts:${line + 1} gitlab may not import from command`];
      assert.deepEqual(check({ "gitlab/a.ts": `\n${form}`, "command/c.ts": "" }), expected, form);
    }
  });

  test("refuses a circle between files, even inside a room", () => {
    const files = {
      "config/a.ts": 'import "./b.ts";',
      "config/b.ts": 'import type {} from "./c.ts";',
      "config/c.ts": 'import "./a.ts";',
    };
    assert.deepEqual(check(files), [
      "config/c.ts:1 goes round in a circle: config/a.ts ► config/b.ts ► config/c.ts ► config/a.ts",
    ]);
  });

  test("keeps processes and identity in their rooms, tests included", () => {
    assert.deepEqual(
      check({
        "executor/a.ts": 'import { spawn } from "child_process";\nprocess.setuid(0); process.seteuid?.(0);',
        "executor/a.test.ts": 'import { spawn } from "node:child_process";',
      }),
      [
        "executor/a.test.ts:1 only process/ may import node:child_process",
        "executor/a.ts:1 only process/ may import child_process",
        "executor/a.ts:2 only downscope/ may call process.setuid",
        "executor/a.ts:2 only downscope/ may call process.seteuid",
      ],
    );
  });

  test("refuses packages that a room has no need of", () => {
    assert.deepEqual(check({ "process/a.ts": 'import x from "@scope/name/deep";\nimport y from "fs";' }), [
      "process/a.ts:1 process may not import the package @scope/name",
      "process/a.ts:2 process may not import the package fs",
    ]);
  });

  test("refuses what it cannot follow, what is not there, and a room that it does not know", () => {
    assert.deepEqual(
      check({
        "config/a.ts": "await import(name);\nrequire('x');",
        "config/b.ts": 'import "./gone.ts";\nimport "../../bench/x.ts";',
        "utils/a.ts": 'import "../config/a.ts";',
      }),
      [
        "config/a.ts:1 loads code in a way that cannot be checked: import(",
        "config/a.ts:2 loads code in a way that cannot be checked: require(",
        "config/b.ts:1 imports config/gone.ts, which is not there",
        "config/b.ts:2 imports ../bench/x.ts, which is not in src/",
        "utils/a.ts:1 is in utils, a room that scripts/check-imports.ts does not know",
      ],
    );
  });

  test("does not take comments, strings and templates for imports", () => {
    const violation = 'await import("../command/c.ts");';
    const text = [
      '// import "../command/c.ts";',
      '/* export * from "../command/c.ts"; */',
      'const a = `\nimport "../command/c.ts";\n`;',
      "const b = /[\"'`]/.test(x); // `",
      "const c = x ? \"//\" : '/*';",
      'const d = `${x ? `http://${f({ y: "}" })}` : ""} "/*`; // `',
      'const e = a / b; const f = [/[/]"/, /\\/`/];',
    ];
    const files = { "gitlab/a.ts": text.join("\n"), "command/c.ts": "" };
    assert.deepEqual(check(files), []);
    // And it is not lost on the way: what comes after all that is seen, also inside a template.
    for (const last of [violation, `const g = \`\${${violation}}\`;`]) {
      const more = { ...files, "gitlab/a.ts": [...text, last].join("\n") };
      assert.deepEqual(check(more), ["gitlab/a.ts:10 gitlab may not import from command"]);
    }
  });
});
