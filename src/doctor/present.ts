import { printable } from "../log/job-log.ts";
import type { Finding, Remedy } from "./check.ts";
import type { Looked } from "./look.ts";

/** Who was looked at, and with what. */
export interface Heading {
  readonly account: string;
  /** Undefined when there was none. */
  readonly configuration: string | undefined;
  /** Root looks at the machine alone. */
  readonly machineOnly: boolean;
}

const nameWidth = 18;

/**
 * A line for each finding, its remedy below it, and a short line for what is well.
 *
 * @param closed a configuration that may be there, and that the account may not read.
 */
export function asText(heading: Heading, looked: readonly Looked[], closed?: string): string {
  const { account, configuration, machineOnly } = heading;
  const why = closed === undefined ? "" : ` (${account} may not read ${closed})`;
  const lines = [
    `Looking as ${account}, with ${configuration ?? `no configuration${why}: what a first one would have is looked at`}`,
    ...looked.flatMap((one) => linesOf(one, account)),
    summary(looked),
    ...(machineOnly
      ? ["Only the machine was looked at. As a user's job would meet it: jacamar doctor --user NAME"]
      : []),
  ];
  return `${lines.map((line) => printable(line).replaceAll("\n", " ")).join("\n")}\n`;
}

function linesOf({ check, outcome }: Looked, account: string): string[] {
  const name = check.name.padEnd(nameWidth);
  switch (outcome.kind) {
    case "ok":
      return [`ok       ${name} ${outcome.text}`];
    case "skipped":
      return [`-        ${name} ${outcome.why}`];
    case "unknown":
      return [`unknown  ${name} ${outcome.why}`];
    case "found":
      return outcome.findings.flatMap((finding) => [
        `${finding.level.padEnd(8)} ${name} ${finding.text} [${finding.name}]`,
        `         ${" ".repeat(nameWidth)} ${finding.remedy === undefined ? finding.advice : command(finding.remedy, account)}`,
      ]);
  }
}

function command(remedy: Remedy, account: string): string {
  return `as ${remedy.by === "root" ? "root" : account}: ${remedy.command}`;
}

function summary(looked: readonly Looked[]): string {
  const findings = findingsOf(looked);
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
  const well = looked.filter(({ outcome }) => outcome.kind === "ok").length;
  const warnings = count("warning");
  const unknown = looked.filter(({ outcome }) => outcome.kind === "unknown").length;
  const open = unknown === 0 ? "" : `, ${unknown} unknown`;
  return `${count("wrong")} wrong, ${warnings} ${warnings === 1 ? "warning" : "warnings"}, ${well} ok${open}`;
}

export function findingsOf(looked: readonly Looked[]): Finding[] {
  return looked.flatMap(({ outcome }) => (outcome.kind === "found" ? outcome.findings : []));
}

/** The same for a program. */
export function asJson(heading: Heading, looked: readonly Looked[]): string {
  const checks = looked.map(({ check, outcome, milliseconds }) => ({ check: check.name, ...outcome, milliseconds }));
  const text = JSON.stringify({ ...heading, checks }, undefined, 2);
  // JSON lets them be, and a terminal does not: a user's program may have said them, and root may be who reads.
  const plain = text.replaceAll(/[\u007f-\u009f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
  return `${plain}\n`;
}

/** A finding in a job log, for the user: what it is, and what to do or to ask for. */
export function forJobLog({ text, advice, remedy }: Finding): string {
  const isSaid = remedy === undefined || advice.includes(remedy.command);
  const how = isSaid ? "" : ` (${remedy.by === "root" ? "as root: " : ""}${remedy.command})`;
  return printable(`${text}: ${advice}${how}`).replaceAll("\n", " ");
}
