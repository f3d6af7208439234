import type { SandboxLifeEvent } from '@islet/contracts';
import { byId, decoded, filtered, orderedWithin, page, parseBody, sharedSubject } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { Row } from '../segments/rows.ts';
import type { EventStore } from './events.ts';
import { selectsEvent } from './select.ts';

/** If nobody says for how long. */
const DAYS = 7;
/** A UUID stands first in a row. */
const ID = /"id":"([^"]*)"/;

export const sameEvent = (a: string, b: string): boolean => ID.exec(a)?.[1] === ID.exec(b)?.[1];

/** Of ends only the ids are kept apart: two that tell of one end may tell different times of it. */
const endRow = ({ id, teamId }: SandboxLifeEvent): Row => ({ teamId, subject: id, timeMs: 0, body: '' });
export const sameEnd = (): boolean => true;

/**
 * Events on disk, each for as long as its team's tier has it.
 * @param ends of which sandboxes the end was told
 */
export function createKeptEvents(shelf: Shelf, ends: Shelf): EventStore {
  return {
    async write(events) {
      const byDays = new Map<number, SandboxLifeEvent[]>();
      const told = new Set<string>();
      for (const event of events) {
        if (event.type === 'killed') {
          if (told.has(event.id) || ends.has(endRow(event))) continue;
          told.add(event.id);
        }
        const { ttlDays = DAYS } = event;
        byDays.set(ttlDays, [...(byDays.get(ttlDays) ?? []), event]);
      }
      for (const [days, kept] of byDays) {
        const rows = kept.map(({ id, ...event }) => ({
          ...{ teamId: event.teamId, subject: sharedSubject(event.sandboxId), timeMs: event.timeMs },
          body: JSON.stringify({ id, ...event }),
        }));
        shelf.append(rows, days);
        ends.append(kept.filter(({ type }) => type === 'killed').map(endRow), days);
      }
    },
    async query(query) {
      const { teamId, sandboxId, order } = query;
      const subject = sandboxId === undefined ? undefined : sharedSubject(sandboxId);
      const rows = decoded(shelf.read({ teamId, subject }, { order }), parseBody<SandboxLifeEvent>);
      const wanted = filtered(rows, (event) => selectsEvent(query, event));
      const sign = order === 'ascending' ? 1 : -1;
      return page(
        orderedWithin(
          wanted,
          ({ timeMs }) => timeMs,
          (a, b) => sign * byId(a, b),
        ),
        query,
      );
    },
  };
}
