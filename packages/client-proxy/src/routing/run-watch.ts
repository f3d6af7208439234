import type { RunId, UpstreamPool } from '@islet/proxy';
import type { Logger } from '@islet/telemetry';

export interface RunWatchOptions {
  pool: UpstreamPool;
  isRunning: (run: RunId) => Promise<boolean>;
  logger: Logger;
  intervalMs: number;
}

/**
 * Resets the connections of runs that are over, where nobody told so: asks the catalog in regular intervals, for those
 * runs only that have connections. Gives back the way to end it.
 */
export function watchRuns(options: RunWatchOptions): () => void {
  const { pool, isRunning, logger, intervalMs } = options;
  let ended = false;
  let timer: NodeJS.Timeout;

  const check = async (run: RunId): Promise<void> => {
    if (await isRunning(run)) return;
    logger.debug({ sandboxId: run.sandboxId }, 'the sandbox is gone; its connections are reset');
    pool.resetRun(run.executionId);
  };

  const round = async (): Promise<void> => {
    for (const run of pool.runs) {
      if (ended) return;
      try {
        await check(run);
      } catch (error) {
        logger.warn({ err: error }, 'the catalog did not answer; runs are checked again later');
        return;
      }
    }
  };

  const schedule = (): void => {
    timer = setTimeout(() => void round().then(() => (ended ? undefined : schedule())), intervalMs).unref();
  };
  schedule();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
