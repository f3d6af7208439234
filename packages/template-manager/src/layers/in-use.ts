/** Root file systems that builds stand on or are about to be sealed, beside those that snapshots and sandboxes go back to. */
export class InUse {
  readonly #counts = new Map<string, number>();

  hold(rootfsDir: string): Disposable {
    this.#counts.set(rootfsDir, (this.#counts.get(rootfsDir) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#counts.get(rootfsDir) ?? 1) - 1;
        if (left === 0) this.#counts.delete(rootfsDir);
        else this.#counts.set(rootfsDir, left);
      },
    };
  }

  has(rootfsDir: string): boolean {
    return this.#counts.has(rootfsDir);
  }
}
