import type { Notices, Topic } from './notices.ts';

/** Notices of one process, for one control plane or several in it. */
export function createMemoryNotices(): Notices {
  const listeners = new Map<Topic, Set<() => void>>();
  return {
    async tell(topic) {
      for (const listener of [...(listeners.get(topic) ?? [])]) listener();
    },
    watch(topic, listener) {
      const all = listeners.get(topic) ?? new Set();
      listeners.set(topic, all);
      // One may be given twice.
      const own = () => listener();
      all.add(own);
      return () => all.delete(own);
    },
  };
}
