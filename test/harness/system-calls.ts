import { existsSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { unknownCalls } from "../../src/seccomp/prepare.ts";

const profiles = ["/usr/share/containers/seccomp.json", "/etc/containers/seccomp.json"];

const profileSchema = v.object({
  syscalls: v.array(
    v.object({ names: v.array(v.string()), action: v.string(), args: v.nullish(v.array(v.unknown())) }),
  ),
});

/**
 * Calls that programs of all kinds need, Podman among them: those that Podman's own profile allows to containers, as far as this machine
 * knows them. A list as an administrator would make it.
 */
export async function usualCalls(): Promise<string[]> {
  const file = profiles.find((path) => existsSync(path));
  if (file === undefined) throw new Error(`Podman's profile is in none of ${profiles.join(", ")}`);
  const { syscalls } = v.parse(profileSchema, JSON.parse(readFileSync(file, "utf8")));
  const allowed = syscalls.filter(({ action, args }) => action === "SCMP_ACT_ALLOW" && (args ?? []).length === 0);
  const names = [...new Set(allowed.flatMap((rule) => rule.names))];
  const unknown = new Set(await unknownCalls(names));
  return names.filter((name) => !unknown.has(name));
}

/** A program for 32 bits that ends with exit code 7 (`mov eax, 1; mov ebx, 7; int 0x80`), for a machine of x86_64. */
export function program32(): Buffer {
  const code = Buffer.from("b801000000bb07000000cd80", "hex");
  const [base, headers] = [0x08048000, 52 + 32];
  const file = Buffer.alloc(headers);
  // ELF, 32 bits, little endian; executable, for x86; then one segment that holds all of the file.
  Buffer.from("7f454c46010101", "hex").copy(file);
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(3, 18);
  for (const [at, value] of [
    [20, 1],
    [24, base + headers],
    [28, 52],
    [52, 1],
    [60, base],
    [68, headers + code.length],
    [72, headers + code.length],
    [76, 5],
    [80, 0x1000],
  ] as const) {
    file.writeUInt32LE(value, at);
  }
  for (const [at, value] of [
    [40, 52],
    [42, 32],
    [44, 1],
  ] as const) {
    file.writeUInt16LE(value, at);
  }
  return Buffer.concat([file, code]);
}
