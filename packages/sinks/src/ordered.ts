/** Adds what comes about in the order of its time to what is in that order, unless the same is there already. Tells whether it did. */
export function insertByTime<T extends { timeMs: number }>(
  list: T[],
  added: T,
  isSame: (known: T) => boolean,
): boolean {
  let at = list.length;
  while (at > 0 && (list[at - 1]?.timeMs ?? 0) > added.timeMs) at--;
  for (let same = at - 1; list[same]?.timeMs === added.timeMs; same--) {
    if (isSame(list[same] as T)) return false;
  }
  list.splice(at, 0, added);
  return true;
}
