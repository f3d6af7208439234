import { EVENT_PREFIX, eventBody, type SandboxLifeEvent } from '@islet/contracts';
import { type Database, listListeners, oweEvents } from '@islet/db';

/** Events of one webhook that may wait. One that is to wait beyond them is dead at once, and can be replayed. */
const MOST_PENDING = 5_000;

/**
 * Owes events to the webhooks that listen for them. Resolves when the database has it: from then on they are delivered, whoever is
 * killed. An event that is told again changes nothing.
 */
export async function oweToWebhooks(
  db: Database,
  events: readonly SandboxLifeEvent[],
  now: number,
): Promise<void> {
  if (events.length === 0) return;
  const listeners = await listListeners(db, [...new Set(events.map(({ teamId }) => teamId))]);
  if (listeners.length === 0) return;
  const owed = events.flatMap((event) =>
    listeners
      .filter(
        (listener) =>
          listener.teamId === event.teamId &&
          listener.events.includes(EVENT_PREFIX + event.type) &&
          event.timeMs >= listener.activeSince.getTime(),
      )
      .map(({ webhookId, eventsTtlDays }) => ({
        webhookId,
        eventId: event.id,
        teamId: event.teamId,
        sandboxId: event.sandboxId,
        eventType: EVENT_PREFIX + event.type,
        eventAt: new Date(event.timeMs),
        body: eventBody(event, eventsTtlDays),
      })),
  );
  await oweEvents(db, owed, { now: new Date(now), mostPending: MOST_PENDING });
}
