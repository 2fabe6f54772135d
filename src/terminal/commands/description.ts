/** What a shell may offer in the place of a value or an operand. */
export type Completion = "file" | "directory" | "account" | "program" | { readonly words: readonly string[] };

/** An option, as Node's `parseArgs` takes it, and all that texts and shells need to know of it. */
export interface OptionDescription {
  readonly type: "boolean" | "string";
  /** One letter. */
  readonly short?: string;
  /** May be given more than once. */
  readonly multiple?: boolean;
  /** What texts call the value, such as `FILE`: for every option of the type `string`. */
  readonly value?: string;
  /** There is a `--no-NAME`, too. */
  readonly negative?: boolean;
  /** A phrase without a full stop, short enough for a line or two. */
  readonly summary: string;
  readonly completes?: Completion;
}

/** The options of a command by their long names. */
export type Options = Readonly<Record<string, OptionDescription>>;

/** What stands on a command line without being an option. */
export interface OperandDescription {
  /** As texts call it, such as `FILE`. */
  readonly name: string;
  readonly optional?: boolean;
  /** There may be more than one; only the last operand. */
  readonly multiple?: boolean;
  readonly completes?: Completion;
}

/** A command for people: `jacamar NAME`. In its texts, `x` in backquotes is what is typed or shown. */
export interface CommandDescription {
  readonly name: string;
  /** Under which heading it is listed. */
  readonly audience: "administrators" | "everybody";
  /** A phrase without a full stop. */
  readonly summary: string;
  readonly operands: readonly OperandDescription[];
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly options: Options;
  /** What each exit code means. */
  readonly exitCodes: Readonly<Record<number, string>>;
  /** Further paragraphs, after the options. */
  readonly notes?: readonly string[];
  readonly examples?: readonly Example[];
}

/** A call, and what it does, as a phrase without a full stop. */
export interface Example {
  readonly does: string;
  readonly call: string;
}

/** An option that every command has. */
export const helpOption = {
  type: "boolean",
  short: "h",
  summary: "show this text",
} as const satisfies OptionDescription;
