import type { BuildLog, EgressVerdict, SandboxLifeEvent, SandboxLog, SandboxSample } from '@islet/contracts';
import type { BuildLogSink, BuildLogStore } from './build-logs/build-logs.ts';
import type { EventSink, EventStore } from './events/events.ts';
import type { LogSink, LogStore } from './logs/logs.ts';
import type { SampleSink, SampleStore } from './samples/samples.ts';
import type { VerdictSink, VerdictStore } from './verdicts/verdicts.ts';

/** Where a node puts what it notes of its sandboxes and builds. */
export interface Sinks {
  samples: SampleSink;
  logs: LogSink;
  events: EventSink;
  buildLogs: BuildLogSink;
  verdicts: VerdictSink;
}

/** What keeps it. */
export interface Stores {
  samples: SampleStore;
  logs: LogStore;
  events: EventStore;
  buildLogs: BuildLogStore;
  verdicts: VerdictStore;
}

/** One thing that a node has noted. Whose it is, the node says: nothing in it that comes from inside a sandbox does. */
export type Note =
  | { kind: 'sample'; sample: SandboxSample }
  | { kind: 'log'; log: SandboxLog }
  | { kind: 'event'; event: SandboxLifeEvent }
  | { kind: 'buildLog'; buildLog: BuildLog }
  | { kind: 'verdict'; verdict: EgressVerdict };

/** Resolves when all of a batch can be read. */
export async function store(notes: readonly Note[], stores: Stores): Promise<void> {
  const { samples, logs, events, buildLogs, verdicts } = stores;
  await Promise.all([
    samples.write(notes.flatMap((note) => (note.kind === 'sample' ? note.sample : []))),
    logs.write(notes.flatMap((note) => (note.kind === 'log' ? note.log : []))),
    events.write(notes.flatMap((note) => (note.kind === 'event' ? note.event : []))),
    buildLogs.write(notes.flatMap((note) => (note.kind === 'buildLog' ? note.buildLog : []))),
    verdicts.write(notes.flatMap((note) => (note.kind === 'verdict' ? note.verdict : []))),
  ]);
}
