/** A call that waits, and how it begins. */
type Begin = () => void;

/**
 * Has so much work done at once, and no more of it for one than for another: all that wait come by turns, however much each of them has. Work
 * waits for disks, on threads that there are few of.
 */
export class Turns<Key> {
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #waiting = new Map<Key, Begin[]>();
  readonly #running = new Map<Key, number>();
  #runningInAll = 0;

  /** @param most at once, `mostOfOne` of which for the same key */
  constructor(most: number, mostOfOne: number) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
  }

  /** Does `work` when it is its turn. @throws what `work` throws */
  async run<T>(key: Key, work: () => Promise<T>): Promise<T> {
    if (this.#isFull(key) || this.#waiting.has(key)) await this.#wait(key);
    else this.#begin(key);
    try {
      return await work();
    } finally {
      this.#end(key);
      this.#goOn();
    }
  }

  #isFull(key: Key): boolean {
    return this.#runningInAll >= this.#most || (this.#running.get(key) ?? 0) >= this.#mostOfOne;
  }

  #wait(key: Key): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? [];
      waiting.push(resolve);
      this.#waiting.set(key, waiting);
    });
  }

  #begin(key: Key): void {
    this.#runningInAll++;
    this.#running.set(key, (this.#running.get(key) ?? 0) + 1);
  }

  #end(key: Key): void {
    this.#runningInAll--;
    const left = (this.#running.get(key) ?? 1) - 1;
    if (left === 0) this.#running.delete(key);
    else this.#running.set(key, left);
  }

  /** The key that waits longest comes first, and is the last one afterwards. */
  #goOn(): void {
    for (const [key, waiting] of [...this.#waiting]) {
      if (this.#runningInAll >= this.#most) return;
      if (this.#isFull(key)) continue;
      this.#waiting.delete(key);
      const next = waiting.shift();
      if (waiting.length > 0) this.#waiting.set(key, waiting);
      this.#begin(key);
      next?.();
    }
  }
}
