/**
 * A CI variable's value. Anybody who can write to the project can set almost any of them, so it is a wish, not a fact:
 * it is an object so that no code takes it for a trusted string by accident.
 */
export interface Wish {
  readonly name: string;
  readonly text: string;
}

const prefix = "CUSTOM_ENV_";

/** What the user's side of the job asks for. Values of file variables are their content. */
export class UserVariables {
  readonly #environment: Readonly<NodeJS.ProcessEnv>;

  /** @param environment of a stage; only `CUSTOM_ENV_*` is looked at (facts/gitlab-runner.md, 1.4). */
  constructor(environment: Readonly<NodeJS.ProcessEnv>) {
    this.#environment = environment;
  }

  get(name: string): Wish | undefined {
    const text = this.#environment[prefix + name];
    return text === undefined ? undefined : { name, text };
  }

  /** GitLab's own reading of a switch: `true`, `1`, `yes`, `on` in any case. */
  isOn(name: string): boolean {
    return /^(true|1|yes|on)$/i.test(this.get(name)?.text.trim() ?? "");
  }

  /** All variables whose name starts with the prefix, in natural order: `X_2` before `X_10`. */
  withPrefix(namePrefix: string): Wish[] {
    const order = new Intl.Collator("en", { numeric: true });
    const wishes: Wish[] = [];
    for (const [key, text] of Object.entries(this.#environment)) {
      if (key.startsWith(prefix + namePrefix) && text !== undefined) {
        wishes.push({ name: key.slice(prefix.length), text });
      }
    }
    return wishes.toSorted((a, b) => order.compare(a.name, b.name));
  }
}
