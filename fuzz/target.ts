/**
 * A reader of bytes from inside a sandbox, and what it promises of any bytes at all. `fuzz/<name>/target.ts` exports one as `target`; its seeds
 * lie beside it.
 */
export interface FuzzTarget {
  /** What is read here, and who may have written it: one line of `npm run fuzz -- --help`. */
  description: string;
  /** Reads one input. Throws what the reader may throw to nobody: refusals that it promises are caught in here. */
  run(input: Buffer): void | Promise<void>;
  /** It works on what only root may make, such as mounts. */
  needsRoot?: boolean;
  /** Longest input that is tried. Much longer than a seed, so that what takes more than linear time shows. */
  maxBytes?: number;
  /** An input that takes longer by the clock is a hang, s; guards measure what is shorter. */
  hangS?: number;
  /** Most bytes of one buffer, whatever the input says about lengths. */
  maxAllocationBytes?: number;
}

export const DEFAULT_MAX_BYTES = 64 * 1024;
export const DEFAULT_HANG_S = 20;
export const DEFAULT_MAX_ALLOCATION_BYTES = 1024 * 1024;
