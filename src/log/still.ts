const firstSeconds = 15;
const longestSeconds = 120;

/** Says now and then that something still goes on, for as long as nothing else is said of it. */
export class Still {
  readonly #say: (seconds: number) => void;
  readonly #since = performance.now();
  #pauseSeconds: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param say gets how long it has gone on. The first time comes after a quarter of a minute, later ones more seldom. */
  constructor(say: (seconds: number) => void, pauseSeconds = firstSeconds) {
    this.#say = say;
    this.#pauseSeconds = pauseSeconds;
    this.#wait();
  }

  /** Something else was said. */
  heard(): void {
    this.#wait();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#say((performance.now() - this.#since) / 1000);
      this.#pauseSeconds = Math.min(longestSeconds, this.#pauseSeconds * 2);
      this.#wait();
    }, this.#pauseSeconds * 1000);
  }
}
