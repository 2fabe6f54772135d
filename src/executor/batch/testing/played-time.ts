import { mock } from "node:test";
import { setImmediate } from "node:timers/promises";

/** Plays the clock and the timers of this process, until `end`. */
export class PlayedTime {
  #now = 0;

  constructor() {
    mock.timers.enable({ apis: ["setTimeout"] });
    mock.method(performance, "now", () => this.#now);
  }

  get now(): number {
    return this.#now;
  }

  /** Lets time go by, half a second whenever nothing else is to be done, until the work is. Whoever waits for it gets it. */
  async passUntil<T>(work: Promise<T>, onTick: () => void = () => undefined): Promise<T> {
    const over = new AbortController();
    const watched = work.finally(() => over.abort());
    watched.catch(() => undefined);
    while (!over.signal.aborted) {
      await setImmediate();
      this.#now += 500;
      mock.timers.tick(500);
      onTick();
    }
    return watched;
  }

  end(): void {
    mock.timers.reset();
    mock.restoreAll();
  }
}
