import type { PatternExample } from "./pattern-example.ts";

/** A name that somebody else could have, and why an expression may let it in. */
export interface LookAlike {
  readonly name: string;
  readonly because: string;
}

/**
 * Names that an expression was hardly meant to match, made from one that it does: another host whose name differs in a dot,
 * a host that only begins like this one, a group that only begins like this one, and any name at all.
 */
export function lookAlikes({ text, open }: PatternExample): LookAlike[] {
  const slash = text.indexOf("/");
  const host = slash === -1 ? "" : text.slice(0, slash);
  const path = slash === -1 ? text : text.slice(slash);
  const isHost = /[.:]/.test(host);
  return [
    { name: "evil.example/any/image", because: "it matches every name" },
    ...(isHost ? [{ name: `evil.example${path}`, because: "any host will do" }] : []),
    ...(isHost && /[a-z0-9]\.[a-z0-9]/i.test(host)
      ? [
          {
            name: host.replace(/(?<=[a-z0-9])\.(?=[a-z0-9])/i, "x") + path,
            because: "a dot without a backslash stands for any character",
          },
        ]
      : []),
    ...open.flatMap((range) => beginsAlike(text, range)),
  ];
}

/** What the expression leaves open may go on with the word before it. */
function beginsAlike(text: string, [from, to]: readonly [number, number]): LookAlike[] {
  const before = text.slice(0, from);
  if (!/[a-z0-9]$/i.test(before)) return [];
  const word = /[^/]*$/.exec(before)?.[0] ?? "";
  if (!before.includes("/")) {
    const name = `${before}.evil.example/image${text.slice(to)}`;
    return [{ name, because: `"${word}" may go on, into the name of another host` }];
  }
  // A tag or digest may well go on.
  if (/[:@]/.test(word)) return [];
  return [
    {
      name: `${before}-of-others/image${text.slice(to)}`,
      because: `"${word}" may go on, into the name of another group`,
    },
  ];
}
