import type { SandboxLifeEvent, SandboxLog, SandboxSample } from '@islet/contracts';
import type { EventSink, EventStore } from './events/events.ts';
import type { LogSink, LogStore } from './logs/logs.ts';
import type { SampleSink, SampleStore } from './samples/samples.ts';

/** Where a node puts what it notes of its sandboxes. */
export interface Sinks {
  samples: SampleSink;
  logs: LogSink;
  events: EventSink;
}

/** What keeps it. */
export interface Stores {
  samples: SampleStore;
  logs: LogStore;
  events: EventStore;
}

/** One thing that a node has noted. Whose it is, the node says: nothing in it that comes from inside a sandbox does. */
export type Note =
  | { kind: 'sample'; sample: SandboxSample }
  | { kind: 'log'; log: SandboxLog }
  | { kind: 'event'; event: SandboxLifeEvent };

/** Resolves when all of a batch can be read. */
export async function store(notes: readonly Note[], { samples, logs, events }: Stores): Promise<void> {
  await Promise.all([
    samples.write(notes.flatMap((note) => (note.kind === 'sample' ? note.sample : []))),
    logs.write(notes.flatMap((note) => (note.kind === 'log' ? note.log : []))),
    events.write(notes.flatMap((note) => (note.kind === 'event' ? note.event : []))),
  ]);
}
