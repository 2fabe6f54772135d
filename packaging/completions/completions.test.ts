import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { commands } from "../../src/terminal/commands.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { completedPrograms, spellings } from "./model.ts";
import { zshCompletion } from "./zsh.ts";

const options = spellings(commands.try.options);

/** A shell, and what it offers after a line. */
const shells = {
  bash: offeredByBash,
  fish: offeredByFish,
  zsh: offeredByZsh,
} as const;

let directory = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "jacamar-completions-"));
  for (const program of completedPrograms) {
    writeFileSync(join(directory, `${program.name}.bash`), bashCompletion(program));
    writeFileSync(join(directory, `${program.name}.fish`), fishCompletion(program));
    writeFileSync(join(directory, `_${program.name}`), zshCompletion(program));
  }
  writeFileSync(join(directory, "a file.toml"), "");
});
after(() => rmSync(directory, { recursive: true }));

for (const [shell, offered] of Object.entries(shells)) {
  describe(`the completion for ${shell}`, { skip: isMissing(shell) && `${shell} is not installed` }, () => {
    it("offers every command", () => {
      const names = [...Object.keys(commands), "config", "prepare", "run", "cleanup", "help"];
      assert.deepEqual(offered("jacamar "), names.toSorted());
      assert.deepEqual(offered("jacamar-auth "), ["cleanup", "config", "prepare", "run"]);
    });

    it("offers every option of a command", () => {
      const long = options.filter((option) => option.startsWith("--"));
      assert.deepEqual(offered("jacamar try --"), long.toSorted());
      assert.deepEqual(offered("jacamar-auth --un"), ["--unobfuscated"]);
    });

    it("offers the values of an option", () => {
      assert.deepEqual(offered("jacamar init --executor "), ["flux", "lsf", "pbs", "shell", "slurm"]);
      assert.deepEqual(offered("jacamar try --login roo"), ["root"]);
      assert.deepEqual(offered("jacamar try --concurrent "), []);
      assert.deepEqual(offered("jacamar doctor --check subo"), ["subordinate-ids"]);
      assert.deepEqual(offered("jacamar help do"), ["doctor"]);
    });

    it("offers files", () => {
      assert.deepEqual(offered("jacamar check a"), ["a file.toml"]);
      assert.deepEqual(offered("jacamar check --runner-config a"), ["a file.toml"]);
      assert.deepEqual(offered("jacamar report --output a"), ["a file.toml"]);
      assert.deepEqual(offered("jacamar report -o a"), ["a file.toml"]);
      assert.deepEqual(offered("jacamar report x a"), ["a file.toml"]);
    });
  });
}

function isMissing(shell: string): boolean {
  return spawnSync(shell, ["-c", "true"]).error !== undefined;
}

function offeredByBash(line: string): string[] {
  const script = `source "$1/\${2%% *}.bash"; compopt() { :; }
    read -ra COMP_WORDS <<<"$2"; case $2 in *' ') COMP_WORDS+=('') ;; esac
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    "$(complete -p "\${COMP_WORDS[0]}" | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return lines(execFileSync("bash", ["-c", script, "-", directory, line], { cwd: directory, encoding: "utf8" }));
}

function offeredByFish(line: string): string[] {
  const script = 'source $argv[1]/(string split " " $argv[2])[1].fish; complete -C $argv[2]';
  const home = { HOME: directory, PATH: process.env["PATH"] ?? "" };
  const text = execFileSync("fish", ["-c", script, directory, line], { cwd: directory, encoding: "utf8", env: home });
  return lines(text).map((offer) => (offer.split("\t")[0] ?? "").replaceAll("\\", ""));
}

/** Zsh completes only where it edits a line: in a terminal. What it would add is printed instead. */
function offeredByZsh(line: string): string[] {
  const setUp = `fpath=(${directory} $fpath); autoload -Uz compinit; compinit -u -D
    PS1=; unset zle_bracketed_paste; zstyle ':completion:*' menu no
    compadd() {
      local -a found; local option
      zparseopts -E O:=option A:=option D:=option
      if (( $#option )); then builtin compadd "$@"; return; fi
      builtin compadd -O found "$@"; builtin compadd "$@"
      (( $#found )) && print -rl -- "offer:"$^found >> ${directory}/offers
    }
    finish() { print -r -- done > ${directory}/done }; zle -N finish; bindkey '^X' finish`;
  const script = `zmodload zsh/zpty; zpty shell "TERM=dumb zsh -f -i"
    zpty -w shell ${JSON.stringify(`source ${directory}/setup.zsh`)}
    zpty -n -w shell "$1"$'\\t'$'\\x18'
    repeat 100; do [[ -e ${directory}/done ]] && break; sleep 0.05; done
    zpty -d shell; cat ${directory}/offers 2>/dev/null; rm -f ${directory}/offers ${directory}/done`;
  writeFileSync(join(directory, "setup.zsh"), setUp);
  const text = execFileSync("zsh", ["-f", "-c", script, "-", line], { cwd: directory, encoding: "utf8" });
  return lines(text).map((offer) => offer.replace(/^offer:/, "").replaceAll("\\", ""));
}

function lines(text: string): string[] {
  return [...new Set(text.split("\n").filter((line) => line !== ""))].toSorted();
}
