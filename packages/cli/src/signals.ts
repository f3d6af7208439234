/** The exit status of a process that a signal ended, by the shell's convention. */
const FORCED_EXIT = 130;

/**
 * A signal that aborts with the first SIGINT or SIGTERM. The second ends the process at once; what it leaves is freed by the
 * next start.
 */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(FORCED_EXIT);
    controller.abort(name);
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return controller.signal;
}
