import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { findOwn, type OwnArguments, userArguments } from "./own-arguments.ts";
import { slurm } from "./slurm.ts";

const getopt = slurm.ownArguments;

/** As LSF and PBS have it: long options with one dash, letters with their value in the same word. */
const singleDash: OwnArguments = {
  long: ["J", "cwd", "o", "oo", "K"],
  othersLong: ["outdir", "q", "n"],
  short: "JoK",
  shortWithValue: "nqWR",
  longWithoutValue: ["x", "r", "H"],
  singleDash: true,
};

const wish = (text: string) => ({ name: "SCHEDULER_PARAMETERS", text });

describe("userArguments()", () => {
  const split: [text: string, words: string[]][] = [
    ["", []],
    ["  \n\t ", []],
    ["-n 3 --time=7", ["-n", "3", "--time=7"]],
    ["--comment='two words'", ["--comment=two words"]],
    ['--comment "it\'s \\"so\\""', ["--comment", 'it\'s "so"']],
    ["--comment=two\\ words", ["--comment=two words"]],
    ["--comment=a'b'\"c\"d", ["--comment=abcd"]],
    ["--comment=$(id)`id`$HOME*?~", ["--comment=$(id)`id`$HOME*?~"]],
    ["--comment=';rm -rf / &'", ["--comment=;rm -rf / &"]],
    ["-N1\n-n2", ["-N1", "-n2"]],
    ["--comment=''", ["--comment="]],
    ["--comment=größe", ["--comment=größe"]],
  ];
  for (const [text, words] of split) {
    test(`splits ${JSON.stringify(text)} as a shell would, and expands nothing`, () => {
      assert.deepEqual(userArguments([wish(text)], getopt), words);
    });
  }

  test("joins the words of all variables, in their order, each split by itself", () => {
    assert.deepEqual(userArguments([wish("-n 3"), wish("-N1 "), wish("")], getopt), ["-n", "3", "-N1"]);
    // An option at the end of one does not take the beginning of the next for its value.
    assert.throws(() => userArguments([wish("--comment"), wish("--output=x")], getopt), {
      code: "batch_arguments_invalid",
    });
  });

  for (const text of ["--comment='x", '--comment="x', "-n 3 \\", "a\0b"]) {
    test(`refuses ${JSON.stringify(text)}, which no shell could split, by the variable's name`, () => {
      assert.throws(() => userArguments([wish(text)], undefined), {
        code: "batch_arguments_invalid",
        message: /SCHEDULER_PARAMETERS/,
      });
    });
  }

  test("names the variable, the word, and what it stands for; a long word is cut", () => {
    assert.throws(
      () => userArguments([wish(`--outp=${"x".repeat(5000)}`)], getopt),
      (error: Error) => {
        assert.match(
          error.message,
          /^The variable SCHEDULER_PARAMETERS holds "--outp=x+", which is a beginning of --output/,
        );
        return error.message.length < 500;
      },
    );
  });

  test("lets everything through where the administrator allows it", () => {
    assert.deepEqual(userArguments([wish("--output=x -J y run.sh")], undefined), ["--output=x", "-J", "y", "run.sh"]);
  });
});

describe("findOwn() with getopt's options", () => {
  const refused: [words: string[], word: string, why: RegExp][] = [
    [["--job-name=x"], "--job-name=x", /is --job-name,/],
    [["--job-name", "x"], "--job-name", /is --job-name,/],
    [["-J", "x"], "-J", /is -J,/],
    [["-Jx"], "-Jx", /is -J,/],
    [["-o/tmp/x"], "-o/tmp/x", /is -o,/],
    [["-HsJx"], "-HsJx", /is -J,/],
    [["-Ho", "x"], "-Ho", /is -o,/],
    [["--out=x"], "--out=x", /a beginning of --output,/],
    [["--o", "x"], "--o", /a beginning of --output,/],
    [["--err", "x"], "--err", /a beginning of --error,/],
    [["--j=x"], "--j=x", /a beginning of --job-name,/],
    [["--w"], "--w", /a beginning of --wait,/],
    [["--wra=id"], "--wra=id", /a beginning of --wrap,/],
    [["--parsable"], "--parsable", /is --parsable,/],
    [["--array=1-3"], "--array=1-3", /is --array,/],
    [["--test-only"], "--test-only", /is --test-only,/],
    [["-h"], "-h", /is -h,/],
    [["--=x"], "--=x", /a beginning of/],
    [["run.sh"], "run.sh", /no option/],
    [["-N1", "run.sh"], "run.sh", /no option/],
    [["-N", "1", "run.sh"], "run.sh", /no option/],
    [["--nodes=1", "run.sh"], "run.sh", /no option/],
    [["-"], "-", /no option/],
    [["--", "run.sh"], "--", /no option/],
    [["-N", "1", ":", "-N", "2"], ":", /no option/],
    [["--unheard-of", ":", "-N2"], ":", /no option/],
    [[""], "", /no option/],
    // An option without a value does not hide the next word, in whatever spelling.
    [["--hold", "--output=x"], "--output=x", /is --output,/],
    [["--hol", "--output=x"], "--output=x", /is --output,/],
    [["--exclusive", "run.sh"], "run.sh", /no option/],
    [["--exclusi", "run.sh"], "run.sh", /no option/],
    [["--nice", "5"], "5", /no option/],
    [["-H", "-Jx"], "-Jx", /is -J,/],
    [["-H", "run.sh"], "run.sh", /no option/],
    // Nor does one that this program has never heard of.
    [["--unheard-of", "--output=x"], "--output=x", /is --output,/],
    [["--unheard-of", "-Jx"], "-Jx", /is -J,/],
    [["--unheard-of", "--comment", "run.sh"], "run.sh", /no option/],
    [["-N", "-Jx"], "-Jx", /is -J,/],
  ];
  for (const [words, word, why] of refused) {
    test(`refuses ${words.join(" ")}`, () => {
      const found = findOwn(words, getopt);
      assert.equal(found?.word, word);
      assert.match(found?.why ?? "", why);
    });
  }

  const allowed = [
    ["--nodes=1", "-n", "3", "--time", "10", "-pwork"],
    ["--open-mode=truncate"],
    ["--exclusive", "--hold", "-H", "-s"],
    ["--exclusive=user", "--mem=100"],
    ["--verbose", "-v", "-vvv"],
    ["--wait-all-nodes=1"],
    ["--comment", "--harmless"],
    ["--priority", "-5"],
    ["-A", "outer", "-q", "Jo"],
    ["-AJohn"],
    ["-HAJohn"],
    ["--comment=--output=x"],
    ["--mail-user=o@example.com", "--mail-type", "END"],
  ];
  for (const words of allowed) {
    test(`allows ${words.join(" ")}`, () => assert.equal(findOwn(words, getopt), undefined));
  }

  test("finds each long option of ours by each of its beginnings that is no option of the user's", () => {
    const lengths = fc
      .constantFrom(...getopt.long)
      .chain((option) =>
        fc.tuple(fc.constant(option), fc.integer({ min: 1, max: option.length }), fc.constantFrom("", "=x")),
      );
    fc.assert(
      fc.property(lengths, ([option, length, value]) => {
        const name = option.slice(0, length);
        fc.pre(!getopt.othersLong.includes(name));
        assert.equal(findOwn([`--${name}${value}`], getopt)?.word, `--${name}${value}`);
      }),
    );
  });

  test("never throws, and never lets an exact option of ours through, whatever stands around it", () => {
    const own = [
      ...getopt.long.map((option) => `--${option}=x`),
      ...getopt.short.split("").map((letter) => `-${letter}x`),
    ];
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" })),
        fc.constantFrom(...own),
        fc.array(fc.string()),
        (a, word, b) => {
          assert.notEqual(findOwn([...a, word, ...b], getopt), undefined);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("findOwn() with options of one dash", () => {
  const refused: [words: string[], word: string, why: RegExp][] = [
    [["-J", "x"], "-J", /is -J,/],
    [["-Jx"], "-Jx", /is -J,/],
    [["-o", "x"], "-o", /is -o,/],
    [["-ofile"], "-ofile", /is -o,/],
    [["-oo", "x"], "-oo", /is -oo,/],
    [["-cwd", "x"], "-cwd", /is -cwd,/],
    [["-q", "normal", "run.sh"], "run.sh", /no option/],
    [["-qnormal", "run.sh"], "run.sh", /no option/],
    [["-x", "run.sh"], "run.sh", /no option/],
    [["-x", "-Jx"], "-Jx", /is -J,/],
    [["-n", "-K"], "-K", /is -K,/],
  ];
  for (const [words, word, why] of refused) {
    test(`refuses ${words.join(" ")}`, () => {
      const found = findOwn(words, singleDash);
      assert.equal(found?.word, word);
      assert.match(found?.why ?? "", why);
    });
  }

  for (const words of [
    ["-q", "Jo"],
    ["-n4", "-W", "10"],
    ["-outdir", "/tmp/x"],
    ["-R", "span[hosts=1]"],
    ["-n", "-3"],
  ]) {
    test(`allows ${words.join(" ")}`, () => assert.equal(findOwn(words, singleDash), undefined));
  }
});
