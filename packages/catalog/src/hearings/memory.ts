import { type Hearings, TELLING_GAP_MS } from './hearings.ts';

/** What the control planes of one process hear. @param now Unix milliseconds */
export function createMemoryHearings(now: () => number): Hearings {
  const heardAt = new Map<string, number>();
  const lostAt = new Map<string, number>();
  /** When somebody told last, and since when there was no gap. */
  const telling = { last: Number.NEGATIVE_INFINITY, since: 0 };
  return {
    async heard(nodes) {
      if (now() - telling.last > TELLING_GAP_MS) telling.since = now();
      telling.last = now();
      return nodes.flatMap(({ nodeId, agoMs }) => {
        const at = now() - agoMs;
        heardAt.set(nodeId, Math.max(at, heardAt.get(nodeId) ?? at));
        const isBack = (lostAt.get(nodeId) ?? at) < at;
        if (isBack) lostAt.delete(nodeId);
        return isBack ? [nodeId] : [];
      });
    },
    async lose(nodeId, silenceMs) {
      const since = lostAt.get(nodeId);
      if (since !== undefined) return { isLost: true, sinceMs: since };
      const at = heardAt.get(nodeId) ?? now();
      heardAt.set(nodeId, at);
      const isTold = now() - telling.last <= TELLING_GAP_MS;
      const knownFrom = (isTold ? telling.since : now()) + TELLING_GAP_MS;
      const leftMs = Math.max(at + silenceMs, knownFrom) - now();
      if (leftMs > 0) return { isLost: false, leftMs };
      lostAt.set(nodeId, now());
      return { isLost: true, sinceMs: now() };
    },
  };
}
