import type { Completion, Options } from "../../src/terminal/commands/description.ts";
import { type CompletedCommand, type CompletedProgram, quoted, spellings } from "./model.ts";

/** The completion of a program for Bash. It needs nothing but Bash 4. */
export function bashCompletion(program: CompletedProgram): string {
  const name = `_${program.name.replaceAll("-", "_")}`;
  const names = program.commands.map((command) => command.name);
  return `# Completion of ${program.name} for Bash. Made by packaging/completions/ from src/terminal/commands/.
${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= word
  COMPREPLY=()
  # Bash makes three words of --option=value.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in ${names.join("|")}) command=$word; break ;; esac
  done
  case $command in
${program.commands.map(commandCase).join("\n")}
  *)
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ${quoted(spellings(program.options).join(" "))} -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -W ${quoted(names.join(" "))} -- "$cur") ;;
    esac
    ;;
  esac
}
complete -F ${name} ${program.name}
`;
}

function commandCase({ name, options, operands }: CompletedCommand): string {
  const words = quoted(spellings(options).join(" "));
  return `  ${name})
${valueCases(options)}    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W ${words} -- "$cur") ;;
    *) ${offer(operands)} ;;
    esac
    ;;`;
}

/** What may follow an option that takes a value. */
function valueCases(options: Options): string {
  const cases = Object.entries(options)
    .filter(([, { type }]) => type === "string")
    .map(([name, { short, completes }]) => {
      const names = short === undefined ? `--${name}` : `-${short}|--${name}`;
      return `    ${names}) ${offer(completes)}; return ;;`;
    });
  return cases.length === 0 ? "" : `    case $prev in\n${cases.join("\n")}\n    esac\n`;
}

function offer(completion: Completion | undefined): string {
  if (completion === undefined) return ":";
  if (typeof completion === "object") {
    return `mapfile -t COMPREPLY < <(compgen -W ${quoted(completion.words.join(" "))} -- "$cur")`;
  }
  const action = { file: "-f", directory: "-d", account: "-u", program: "-c" }[completion];
  const names = completion === "account" ? "" : "compopt -o filenames; ";
  return `${names}mapfile -t COMPREPLY < <(compgen ${action} -- "$cur")`;
}
