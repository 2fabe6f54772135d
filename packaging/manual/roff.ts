import { version } from "../../src/version.ts";

// Pages of the language of man(7), which groff and mandoc both read.

/** Text as it is to be seen: roff takes neither backslashes nor dots and quotes at the start of a line as they are. */
export function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replaceAll("'", "\\(aq")
    .replace(/^\./gm, "\\&.");
}

/** Text of the descriptions: `x` in backquotes is bold, `*x*` italic, and a link is its text. */
export function styled(markdown: string): string {
  return markdown
    .replace(/\[([^\]]+)\]\([^)]*\)/g, "$1")
    .split(/(`[^`]+`|\*[^*]+\*)/)
    .map((part) => {
      if (/^`.+`$/s.test(part)) return bold(part.slice(1, -1));
      if (/^\*.+\*$/s.test(part)) return italic(part.slice(1, -1));
      return escaped(part);
    })
    .join("");
}

export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${escaped(text)}\\fR`;
}

/** How a page begins. No word is broken, so that names can be searched for. The date is that of the sources, so that a page is the same on every day. */
export function title(name: string, section: number, date: Date): string {
  const day = date.toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase().replaceAll("-", "\\-")} ${section} ${day} "Jacamar CI ${escaped(version)}" "Jacamar CI"\n.nr HY 0\n.nh\n.ad l`;
}

export function section(name: string): string {
  return `.SH ${/\s/.test(name) ? `"${name}"` : name}`;
}

export function subsection(roff: string): string {
  return `.SS ${roff}`;
}

/** Paragraphs, in roff already, at the start of a section. */
export function paragraphs(texts: readonly string[]): string {
  return texts.join("\n.PP\n");
}

/** A paragraph, in roff already, after something else. */
export function paragraph(text: string): string {
  return `.PP\n${text}`;
}

/** A term and what is said of it, in roff already. */
export function entry(term: string, ...texts: readonly string[]): string {
  return [`.TP`, term, texts.join("\n.IP\n")].join("\n");
}

/** Lines that are shown as they are. */
export function verbatim(text: string): string {
  return `.PP\n.in +4n\n.EX\n${escaped(text)}\n.EE\n.in`;
}
