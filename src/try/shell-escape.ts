const literal = /^[A-Za-z0-9,\-./@_]$/;
const named: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "'": "\\'",
  "\\": "\\\\",
};

const table = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  const escaped = named[character];
  if (escaped !== undefined) return escaped;
  if (byte >= 0x20 && byte < 0x7f) return character;
  return `\\x${byte.toString(16).padStart(2, "0")}`;
});
const isLiteral = Array.from({ length: 256 }, (_, byte) => literal.test(String.fromCharCode(byte)));

/**
 * One word of a Bash script: bare when every character is harmless, otherwise ANSI-C quoted (`$'…'`) with everything
 * outside printable ASCII as `\xNN`. It is the form in which GitLab Runner writes its scripts (facts/gitlab-runner.md,
 * 1.5), and the only way in which data gets into a script here.
 */
export function shellEscape(text: string): string {
  if (text === "") return "''";
  const bytes = Buffer.from(text, "utf8");
  let harmless = true;
  const parts: string[] = [];
  for (const byte of bytes) {
    if (isLiteral[byte] !== true) harmless = false;
    parts.push(table[byte] ?? "");
  }
  return harmless ? text : `$'${parts.join("")}'`;
}
