import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { pause } from "../../process/signals.ts";

/**
 * Wakes a loop when files change, and now and then: changes that another machine makes are not reported here, so there a
 * look is the only way.
 */
export class Ticker {
  readonly #watchers: FSWatcher[] = [];
  #milliseconds = fastMilliseconds;
  #wake: AbortController = new AbortController();

  constructor(files: readonly string[]) {
    const directories = [...new Set(files.map((file) => dirname(file)))];
    for (const directory of directories) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.wake());
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // All watches of the user may be in use; looking now and then is enough.
      }
    }
  }

  /** There is output: more may come soon. */
  flows(): void {
    this.#milliseconds = fastMilliseconds;
  }

  wake(): void {
    this.#wake.abort();
  }

  async wait(stop: AbortSignal): Promise<void> {
    const woken = this.#wake.signal;
    await pause(this.#milliseconds, AbortSignal.any([woken, stop]));
    if (woken.aborted) {
      // Many small writes make one look.
      this.#wake = new AbortController();
      await pause(settleMilliseconds);
    }
    this.#milliseconds = Math.min(this.#milliseconds * 1.5, slowMilliseconds);
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}

const fastMilliseconds = 100;
const settleMilliseconds = 10;
const slowMilliseconds = 1000;
