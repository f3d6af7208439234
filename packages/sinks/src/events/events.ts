import type { SandboxEventType, SandboxLifeEvent } from '@islet/contracts';

/** Where a node puts what happens to its sandboxes. */
export interface EventSink {
  /** Takes an event and returns at once. It is kept sometime later, or dropped and counted. */
  record(event: SandboxLifeEvent): void;
}

export interface EventQuery {
  teamId: string;
  /** Absent: of all sandboxes of the team. */
  sandboxId?: string | undefined;
  /** Absent: of any type. */
  types?: readonly SandboxEventType[] | undefined;
  offset: number;
  limit: number;
  order: 'ascending' | 'descending';
}

/** Reads events; a team sees those of its own sandboxes only. */
export interface EventSource {
  /** By time; events of one moment by their id. */
  query(query: EventQuery): Promise<SandboxLifeEvent[]>;
}

/** Keeps events. */
export interface EventStore extends EventSource {
  /** Resolves when the events can be read. One that comes twice, by its id, is kept once; an end also if its time is another. */
  write(events: readonly SandboxLifeEvent[]): Promise<void>;
}
