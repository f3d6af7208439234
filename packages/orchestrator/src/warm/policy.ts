/** Takes are remembered for so long, ms: demand that ceased lets go of its sandboxes after it. */
export const MEMORY_MS = 60_000;

/** A burst is what comes within this time, ms: about as long as one cold start takes under load. */
const BURST_MS = 1_000;

/**
 * How many sandboxes of a build to keep ready: as many as the largest burst of the last minute took, at least one, at the
 * most what memory allows. `takes` are times in ms, ascending.
 */
export function warmTarget(takes: readonly number[], now: number, most: number): number {
  const recent = takes.filter((time) => now - time < MEMORY_MS);
  let burst = 1;
  let first = 0;
  recent.forEach((time, index) => {
    while (time - (recent[first] ?? time) > BURST_MS) first++;
    burst = Math.max(burst, index - first + 1);
  });
  return Math.min(burst, most);
}
