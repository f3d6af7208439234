import type { Machine } from '@islet/driver';
import { groupsOf, isAlive, signalGroup } from '@islet/host';

/**
 * Stops machines and lets them go on, by the groups of their processes: the sentry, the file server, and the processes in which the
 * sandbox's programs run, which are children of the sentry.
 */
export class Freezer {
  /** The process groups of machines that this process froze. */
  readonly #frozen = new Map<string, readonly number[]>();

  freeze({ id, main, companions }: Machine): void {
    signalGroup(main.pid, 'SIGSTOP'); // before its children are looked for: from here on there come no more
    const groups = [main, ...companions].flatMap(groupsOf);
    for (const group of groups) signalGroup(group, 'SIGSTOP');
    this.#frozen.set(id, groups);
  }

  /** Also of a machine that another process froze. @returns whether it is alive. */
  thaw({ id, main, companions }: Machine): boolean {
    const groups = this.#frozen.get(id) ?? [main, ...companions].flatMap(groupsOf);
    this.#frozen.delete(id);
    if (!isAlive(main)) return false;
    for (const group of groups.toReversed()) signalGroup(group, 'SIGCONT');
    return true;
  }

  /** To be called of a machine that has ended. */
  forget(id: string): void {
    this.#frozen.delete(id);
  }
}
