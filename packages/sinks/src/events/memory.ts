import type { SandboxLifeEvent } from '@islet/contracts';
import { insertByTime } from '../ordered.ts';
import { TeamShares } from '../team-shares.ts';
import type { EventStore } from './events.ts';

export interface MemoryEventsOptions {
  /** Events kept a sandbox; the oldest go first. */
  eventsPerSandbox: number;
  /** Events kept; the team with most of them gives away its sandbox to which nothing happened for longest. */
  events: number;
}

/** The newest events of sandboxes, ended ones too, in memory. */
export function createMemoryEvents(options: MemoryEventsOptions): EventStore {
  const sandboxes = new TeamShares<SandboxLifeEvent[]>(options.events);

  function add(event: SandboxLifeEvent): void {
    const { teamId, sandboxId } = event;
    const kept = sandboxes.use(teamId, sandboxId, () => []);
    // An end may be told by a node and by those who have lost it, each with the time that it knows.
    if (event.type === 'killed' && kept.some(({ id }) => id === event.id)) return;
    if (!insertByTime(kept, event, ({ id }) => id === event.id)) return;
    if (kept.length > options.eventsPerSandbox) kept.shift();
    else sandboxes.grow(teamId, sandboxId, 1);
  }

  return {
    async write(events) {
      for (const event of events) add(event);
    },
    async query({ teamId, sandboxId, types, offset, limit, order }) {
      const all =
        sandboxId === undefined ? sandboxes.ofTeam(teamId).flat() : (sandboxes.get(teamId, sandboxId) ?? []);
      const asked = all.filter(({ type }) => types === undefined || types.includes(type)).sort(byTime);
      if (order === 'descending') asked.reverse();
      return asked.slice(offset, offset + limit);
    },
  };
}

function byTime(a: SandboxLifeEvent, b: SandboxLifeEvent): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  return a.id < b.id ? -1 : 1;
}
