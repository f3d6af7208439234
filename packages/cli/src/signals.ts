import type { Writable } from 'node:stream';

/** The exit status of a process that a signal ended, by the shell's convention. */
const FORCED_EXIT = 130;

/**
 * A signal that aborts with the first SIGINT or SIGTERM, or when nobody reads the output any more (`islet up | head`). A signal
 * after that ends the process at once; what it leaves is freed by the next start.
 */
export function interruptible(output: Writable): AbortSignal {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(FORCED_EXIT);
    controller.abort(name);
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  output.once('error', () => controller.abort('nobody reads the output'));
  return controller.signal;
}

/** Lets what is written go nowhere once its reader is gone, as `head` is after its lines. Any other error is thrown. */
export function surviveLostReader(output: Writable): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
