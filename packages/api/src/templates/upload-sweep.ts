import type { ArtifactStore } from '@islet/artifacts';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';

const EVERY_MS = 3_600_000;
/** An archive that no build asked for in so long is uploaded again if one does. */
const UNUSED_MS = 7 * 24 * 3_600_000;

/** Removes uploaded archives that nobody uses any more, now and from time to time, until it is closed. */
export function startUploadSweep(
  artifacts: ArtifactStore,
  clock: Clock,
  logger: Logger,
): { close(): Promise<void> } {
  const sweep = () =>
    artifacts.prune(clock.now() - UNUSED_MS).then(
      ({ archives, bytes }) => {
        if (archives > 0) logger.info({ archives, bytes }, 'removed uploaded archives that nobody used');
      },
      (error: unknown) => logger.warn({ err: error }, 'cannot remove uploaded archives'),
    );
  let running = sweep();
  const timer = setInterval(() => {
    running = sweep();
  }, EVERY_MS).unref();
  return {
    async close() {
      clearInterval(timer);
      await running;
    },
  };
}
