import { DEFAULT_MAX_ALLOCATION_BYTES, type FuzzTarget } from './target.ts';

/** An input made its reader take more than it may. */
export class LimitError extends Error {
  override readonly name = 'LimitError';
}

/** What a run may take of the CPU, ms. */
export interface TimeLimits {
  /** Whatever it reads, since the garbage collector comes in between. */
  base: number;
  /** For each byte beside that. */
  perByte: number;
}

/** Some ten times what the slowest reader takes while it is instrumented. */
const TIME_LIMITS: TimeLimits = { base: 250, perByte: 0.005 };
/** A run that took too long is repeated: what was slow by accident is not slow each time. */
const TRIES = 4;

/** Ways to get a buffer of any length. */
const ALLOCATORS = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const;

type Ran<T> = T | Promise<T>;

/** Runs a target's inputs, and holds it to its limits of time and memory. @throws LimitError, and what the target throws */
export function guarded(target: FuzzTarget, time = TIME_LIMITS): (input: Buffer) => Ran<void> {
  const watch = watchAllocations(target.maxAllocationBytes ?? DEFAULT_MAX_ALLOCATION_BYTES);

  /** Gives the CPU time that it took, ms. */
  const once = (input: Buffer): Ran<number> => {
    const before = process.cpuUsage();
    return then(
      watch.during(() => target.run(input)),
      () => process.cpuUsage(before).user / 1000,
    );
  };
  const within = (input: Buffer, tries: number): Ran<void> =>
    then(once(input), (ms) => {
      if (ms <= time.base + time.perByte * input.length) return;
      if (tries === 1) throw new LimitError(`${Math.round(ms)} ms for ${input.length} bytes`);
      return within(input, tries - 1);
    });
  return (input) => within(input, TRIES);
}

function then<T, U>(ran: Ran<T>, next: (value: T) => Ran<U>): Ran<U> {
  return ran instanceof Promise ? ran.then(next) : next(ran);
}

/** Refuses buffers that are too long. A reader may catch that as it catches anything: it is told of once more at the end. */
function watchAllocations(most: number): { during<T>(work: () => Ran<T>): Ran<T> } {
  let watches = false;
  let longest = 0;
  const assertKept = () => {
    if (longest > most) throw new LimitError(`a buffer of ${longest} bytes`);
  };
  for (const name of ALLOCATORS) {
    const allocate = Buffer[name].bind(Buffer) as (...args: unknown[]) => Buffer;
    const watched = (length: number, ...rest: unknown[]) => {
      if (watches) {
        longest = Math.max(longest, length);
        assertKept();
      }
      return allocate(length, ...rest);
    };
    Object.assign(Buffer, { [name]: watched });
  }
  const end = <T>(value: T): T => {
    watches = false;
    assertKept();
    return value;
  };
  const fail = (error: unknown): never => {
    watches = false;
    throw error;
  };
  return {
    during(work) {
      watches = true;
      longest = 0;
      try {
        const ran = work();
        return ran instanceof Promise ? ran.then(end, fail) : end(ran);
      } catch (error) {
        return fail(error);
      }
    },
  };
}
