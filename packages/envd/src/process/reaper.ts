import type { EndedChild, Waitpid } from '@islet/posix-spawn';

/** Of waitpid. */
const ANY_CHILD = -1;

/** Collects ended children: envd's own and, as the init process, everybody's orphans. */
export class Reaper {
  readonly #wait: Waitpid;
  readonly #handlers = new Map<number, (child: EndedChild) => void>();
  #childless = false;
  #onChildren: (() => void) | undefined;

  constructor(wait: Waitpid) {
    this.#wait = wait;
  }

  /** False when the kernel has said that there is no child process left, and none was started since. */
  get hasChildren(): boolean {
    return !this.#childless;
  }

  /** Calls back when a process is started. */
  onChildren(listener: () => void): void {
    this.#onChildren = listener;
  }

  /** Must be called in the same turn of the event loop in which the child was started. */
  expect(pid: number, onEnd: (child: EndedChild) => void): void {
    this.#childless = false;
    this.#handlers.set(pid, onEnd);
    this.#onChildren?.();
  }

  /** Collects all that have ended. Called on SIGCHLD, of which the kernel may merge several. */
  reap(): void {
    for (;;) {
      const result = this.#wait(ANY_CHILD);
      if (result === 'none') return;
      if (result === 'childless') {
        this.#childless = true;
        return;
      }
      const handler = this.#handlers.get(result.pid);
      this.#handlers.delete(result.pid);
      handler?.(result);
    }
  }
}
