import { JacamarError } from "../error/error.ts";
import type { RefusalCode, Rule } from "./reasons.ts";

/** Ends a decision; `decide()` makes a value of it, so it goes no further. */
export class Refusal extends Error {
  readonly rule: Rule;
  readonly code: RefusalCode;

  constructor(rule: Rule, code: RefusalCode, detail: string) {
    super(detail);
    this.rule = rule;
    this.code = code;
  }
}

/** Puts a question to the name service; a refusal when that fails. */
export async function ask<Answer>(rule: Rule, question: () => Promise<Answer>): Promise<Answer> {
  try {
    return await question();
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    throw new Refusal(rule, "name_service_failed", error.message);
  }
}
