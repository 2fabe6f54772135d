import { execFileSync } from "node:child_process";

/**
 * The time that all files of the packages carry, in seconds since 1970: SOURCE_DATE_EPOCH where it is set
 * (reproducible-builds.org), else that of the commit. Throws where there is neither.
 */
export function commitTimeSeconds(checkout: string): number {
  const given = process.env["SOURCE_DATE_EPOCH"];
  const text = given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: checkout, encoding: "utf8" }).trim();
  if (!/^[0-9]{1,11}$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH is no time: "${text}"`);
  return Number(text);
}
