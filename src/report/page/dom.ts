type Attributes = Readonly<Record<string, string | number | boolean>>;
type Child = Node | string | undefined;

/** Makes an element. Texts become text, never markup: they may be of anybody's choosing. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false) made.setAttribute(key, String(value));
  }
  for (const child of children) if (child !== undefined) made.append(child);
  return made;
}

/** A text of somebody's choosing: what in it writes from right to left moves nothing around it. */
export function isolated(text: string): HTMLElement {
  return element("bdi", {}, text);
}

/** An element of SVG. */
export function svg(name: string, attributes: Attributes = {}, ...children: readonly Child[]): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  if (!(made instanceof SVGElement)) throw new Error(`${name} is no element of SVG`);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  for (const child of children) if (child !== undefined) made.append(child);
  return made;
}

/** Puts other children in the place of all that an element has. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren(...children.filter((child) => child !== undefined));
}
