import { tooManyConnections } from '@islet/proxy';

/** Requests to one sandbox that may wait for it at once. They are no connections of a run yet, and count as none. */
export const MAX_HELD_REQUESTS = 256;

/** Counts the requests that wait until their sandbox serves again. */
export class HeldRequests {
  readonly #held = new Map<string, number>();
  readonly #shared = new Map<string, Promise<unknown>>();

  /**
   * Counts a request as waiting while `work` is under way.
   * @throws ProxyError 429 if too many wait for the sandbox already.
   */
  async during<T>(sandboxId: string, work: () => Promise<T>): Promise<T> {
    const held = this.#held.get(sandboxId) ?? 0;
    if (held >= MAX_HELD_REQUESTS) throw tooManyConnections(sandboxId, MAX_HELD_REQUESTS);
    this.#held.set(sandboxId, held + 1);
    try {
      return await work();
    } finally {
      const left = (this.#held.get(sandboxId) ?? 1) - 1;
      if (left > 0) this.#held.set(sandboxId, left);
      else this.#held.delete(sandboxId);
    }
  }

  /** As `during`, for work that is the same for all requests: it is done once for those that wait at a time. */
  together<T>(sandboxId: string, work: () => Promise<T>): Promise<T> {
    return this.during(sandboxId, () => {
      const shared = this.#shared.get(sandboxId) as Promise<T> | undefined;
      if (shared) return shared;
      const begun = work().finally(() => this.#shared.delete(sandboxId));
      this.#shared.set(sandboxId, begun);
      return begun;
    });
  }
}
