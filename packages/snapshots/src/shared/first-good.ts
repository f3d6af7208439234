import type { ObjectSource } from './object-store.ts';

/**
 * What the first of some sources gives: one that lacks it, is away or gives what is damaged is followed by the next. Undefined if all
 * lack it. @throws what the first one threw that did not say that it lacks it, if none gives it
 */
export async function firstGood<T>(
  sources: readonly ObjectSource[],
  read: (source: ObjectSource) => Promise<T | undefined>,
): Promise<T | undefined> {
  const failures: unknown[] = [];
  for (const source of sources) {
    try {
      const found = await read(source);
      if (found !== undefined) return found;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return undefined;
}
