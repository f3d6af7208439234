/**
 * Waits for all of them, whatever fails, so that nothing of it goes on behind the caller's back.
 * @throws the first failure
 */
export async function settleAll<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/**
 * Does something with each item, in their order, with at most so many at a time.
 * @throws the first failure, when all that had begun is done; no more is begun after it
 */
export async function inTurn<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  task: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await task(items[index] as Item);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await settleAll(Array.from({ length: atOnce }, worker));
  return results;
}
