import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/**
 * The file in which the runner wants the script's own exit code (facts/gitlab-runner.md, 1.7). It is opened, empty, when
 * the stage begins, which also takes away what an earlier stage left there; the runner looks at it only when the stage
 * ends with the build failure's exit code.
 */
export class ExitCodeFile {
  readonly #path: string = "";
  readonly #descriptor: number | undefined;

  /** @param path undefined for a runner that does not offer the file. Throws `runner_contract`. */
  constructor(path: string | undefined) {
    if (path === undefined) return;
    try {
      // A pipe in its place must not be waited for.
      const flags =
        constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      this.#descriptor = openSync(path, flags, 0o600);
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
    this.#path = path;
  }

  /**
   * Leaves the script's exit code, 0 to 255, for the runner; once. Returns whether the runner takes it.
   * Throws `runner_contract`.
   */
  write(code: number): boolean {
    if (this.#descriptor === undefined) return false;
    try {
      ftruncateSync(this.#descriptor, 0);
      writeSync(this.#descriptor, `${code}\n`, 0);
      closeSync(this.#descriptor);
    } catch (cause) {
      throw cannotWrite(this.#path, cause);
    }
    return true;
  }
}

function cannotWrite(path: string, cause: unknown): JacamarError {
  return new JacamarError(
    "runner_contract",
    `Cannot write BUILD_EXIT_CODE_FILE "${path}": ${systemErrorCode(cause) ?? "unknown error"}`,
    { cause },
  );
}
