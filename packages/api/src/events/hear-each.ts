import type { SandboxLifeEvent } from '@islet/contracts';
import { isDatabaseUnavailable } from '@islet/db';
import type { Logger } from '@islet/telemetry';

type Take = (events: readonly SandboxLifeEvent[]) => Promise<void>;

/**
 * Takes events so that one of them that cannot be taken keeps no other from it: it is logged, and not told again. While the database
 * does not answer, nothing is taken: that is thrown.
 */
export function hearEach(take: Take, logger: Logger): Take {
  const takeOne = async (event: SandboxLifeEvent) => {
    try {
      await take([event]);
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      const { id, sandboxId, type } = event;
      logger.error(
        { err: error, id, sandboxId, type },
        'neither webhooks nor the usage of teams hear of an event',
      );
    }
  };
  return async (events) => {
    try {
      await take(events);
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      for (const event of events) await takeOne(event);
    }
  };
}
