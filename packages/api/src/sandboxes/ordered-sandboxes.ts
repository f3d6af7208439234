import type { Sandbox } from '@islet/contracts';
import { compareNewestFirst, type Position } from './live.ts';

export type Order = 'asc' | 'desc';

/** Sandboxes in the order of `compareNewestFirst`; the positions stand beside them, so that a list is a plain copy. */
export class OrderedSandboxes {
  readonly #sandboxes: Sandbox[] = [];
  readonly #positions: Position[] = [];

  get size(): number {
    return this.#sandboxes.length;
  }

  all(): Sandbox[] {
    return this.#sandboxes.slice();
  }

  add(sandbox: Sandbox, position: Position): void {
    const index = this.#indexOf(position);
    this.#positions.splice(index, 0, position);
    this.#sandboxes.splice(index, 0, sandbox);
  }

  /** Takes away the one that was added with the position. */
  remove(position: Position): void {
    const index = this.#indexOf(position);
    this.#positions.splice(index, 1);
    this.#sandboxes.splice(index, 1);
  }

  /** The first ones behind a position; from the beginning if there is none. */
  take(count: number, order: Order, after: Position | undefined): Sandbox[] {
    if (order === 'desc') {
      const from = after ? this.#indexOf(after, 'behind') : 0;
      return this.#sandboxes.slice(from, from + count);
    }
    const to = after ? this.#indexOf(after) : this.#sandboxes.length;
    return this.#sandboxes.slice(Math.max(0, to - count), to).reverse();
  }

  /** The first index whose position does not come before the given one; or that comes behind it. */
  #indexOf(position: Position, which: 'at' | 'behind' = 'at'): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#positions[middle];
      const comparison = other ? compareNewestFirst(other, position) : 1;
      if (comparison < 0 || (which === 'behind' && comparison === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
