/** Takes are remembered for so long, ms: demand that ceased lets go of its sandboxes after it. */
export const MEMORY_MS = 60_000;

/** A burst is what comes within this time, ms: about as long as one cold start takes under load. */
const BURST_MS = 1_000;

/** An idle sandbox measured: 43 MB for its kernel, 22 MB for its file server, and some 20 MB of its programs' pages. */
const SANDBOX_MB = 85;

/** A place whose kernel and file server run, and no program: measured 52 MB. */
const PLACE_MB = 52;
const PLACES_SHARE = 0.2;

/** What fits into the memory, MiB, for what is kept ready: sandboxes, and places for those that come when these have gone. */
export function warmCounts(memoryMb: number): { warmAtMost: number; placesAtMost: number } {
  const placesAtMost = Math.floor((memoryMb * PLACES_SHARE) / PLACE_MB);
  return { warmAtMost: Math.floor((memoryMb - placesAtMost * PLACE_MB) / SANDBOX_MB), placesAtMost };
}

/**
 * How many of a kind to keep ready: as many as the largest burst of the last minute took, at least one, at the
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
