import { randomUUID } from 'node:crypto';
import type { EgressVerdict, SandboxLifeEvent, SandboxLog } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Note, Sinks } from '../sinks.ts';
import { Backlog } from './backlog.ts';
import type { EventSpool } from './event-spool.ts';

/** A place between two notes of one outbox. */
export interface Position {
  /** Of the outbox: a position says nothing about another one. */
  epoch: string;
  /** Of the last note before it. */
  sequence: number;
}

export interface Batch {
  /** Behind the batch. */
  position: Position;
  notes: Note[];
  /** Notes before the position that the reader has missed: more waited than is kept. */
  lost: number;
}

export interface OutboxOptions {
  /** Size of what is kept for readers, in characters. */
  characters: number;
  /** How long a note waits for others to go with it, ms. */
  lingerMs: number;
  /** Keeps events over restarts; absent: they are in memory. */
  spool?: EventSpool | undefined;
  logger: Logger;
}

/** What a reader gets at once, characters. */
const BATCH = { entries: 500, size: 256 * 1024 };
/** A reader that hears nothing for so long, ms, gets an empty batch. */
export const HEARTBEAT_MS = 20_000;
/** Between two warnings that notes are dropped, ms. */
const WARN_EVERY_MS = 60_000;
/** What a note takes beside its texts, characters. */
const NOTE_SIZE = 250;

/**
 * What a node has noted of its sandboxes, kept for those who read it: a store in the same process, or apis behind the
 * node's RPC. To note something is cheap and waits for no one. The newest notes stay also when they have been read, within
 * one size for all teams, so that a reader goes on where it stopped.
 */
export class Outbox implements Sinks {
  readonly samples: Sinks['samples'] = {
    record: (sample) => this.#add(sample.teamId, { kind: 'sample', sample }, NOTE_SIZE),
  };
  readonly logs: Sinks['logs'] = {
    record: (log) => this.#add(log.teamId, { kind: 'log', log }, sizeOfLog(log)),
  };
  readonly events: Sinks['events'] = {
    record: (event) => {
      this.#options.spool?.append(event);
      this.#add(event.teamId, { kind: 'event', event }, sizeOfEvent(event));
    },
  };
  readonly buildLogs: Sinks['buildLogs'] = {
    record: (buildLog) =>
      this.#add(buildLog.teamId, { kind: 'buildLog', buildLog }, NOTE_SIZE + buildLog.message.length),
  };
  readonly verdicts: Sinks['verdicts'] = {
    record: (verdict) => this.#add(verdict.teamId, { kind: 'verdict', verdict }, sizeOfVerdict(verdict)),
  };
  readonly #options: OutboxOptions;
  readonly #epoch = randomUUID();
  readonly #backlog: Backlog<Note>;
  /** Each wakes a reader that waits. */
  readonly #waiting = new Set<() => void>();
  #linger: NodeJS.Timeout | undefined;
  /** No note before this one lingers. */
  #hastened = 0;
  /** Some reader has got so far. */
  #read = 0;
  #dropped = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#backlog = new Backlog(options.characters, (sequence) => this.#onDrop(sequence));
    // Nobody knows who has read them. Who has passes over them.
    for (const event of options.spool?.takeLeft() ?? []) {
      this.#add(event.teamId, { kind: 'event', event }, sizeOfEvent(event));
    }
  }

  /** Notes that were dropped before anybody had read them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Where it ends now. Readers get what is before it without further delay. */
  end(): Position {
    this.#hastened = this.#backlog.last;
    this.#wake();
    return { epoch: this.#epoch, sequence: this.#hastened };
  }

  /** Lets readers have what is left, and ends them. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /**
   * Notes in the order in which they were made, in batches, until `signal` aborts or the outbox closes.
   * @param after a position of this outbox or of one before it; undefined: from the oldest note that is kept
   */
  async *read(after: Position | undefined, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    const isKnown = after?.epoch === this.#epoch && after.sequence <= this.#backlog.last;
    let sequence = isKnown ? after.sequence : 0;
    // Who comes for the first time has missed nothing of what was before.
    const countedFrom = after ? 0 : this.#backlog.last;
    let quiet = false;
    while (!signal.aborted) {
      const stretch = this.#backlog.after(sequence, BATCH, countedFrom);
      if (stretch.sequence > sequence || quiet) {
        sequence = stretch.sequence;
        const position = { epoch: this.#epoch, sequence };
        yield { position, notes: stretch.values, lost: stretch.dropped };
        this.#read = Math.max(this.#read, sequence);
      }
      if (stretch.more) continue;
      if (this.#closed && sequence >= this.#backlog.last) return;
      quiet = await this.#next(sequence, signal);
    }
  }

  #add(teamId: string, note: Note, size: number): void {
    this.#backlog.add(teamId, note, size);
    if (this.#waiting.size > 0) this.#lingerOn();
  }

  /** Waits for notes behind a sequence number. True if none came for long. */
  #next(sequence: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || this.#closed || sequence < this.#hastened) return Promise.resolve(false);
    return new Promise((resolve) => {
      const done = (quiet: boolean) => {
        clearTimeout(heartbeat);
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve(quiet);
      };
      const wake = () => done(false);
      const heartbeat = setTimeout(done, HEARTBEAT_MS, true).unref();
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
      if (sequence < this.#backlog.last) this.#lingerOn();
    });
  }

  #lingerOn(): void {
    this.#linger ??= setTimeout(() => this.#wake(), this.#options.lingerMs).unref();
  }

  #wake(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    for (const wake of [...this.#waiting]) wake();
  }

  #onDrop(sequence: number): void {
    if (sequence <= this.#read) return;
    this.#dropped++;
    const nowMs = performance.now();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    this.#options.logger.warn(
      { dropped: this.#dropped },
      'what is noted of sandboxes is dropped: nobody takes it over, or too slowly',
    );
  }
}

function sizeOfLog({ message, fields }: SandboxLog): number {
  return NOTE_SIZE + message.length + sizeOfMap(fields);
}

function sizeOfEvent({ metadata, egress }: SandboxLifeEvent): number {
  const rules = [...(egress?.allowOut ?? []), ...(egress?.denyOut ?? [])];
  return NOTE_SIZE + sizeOfMap(metadata) + rules.reduce((sum, rule) => sum + rule.length, 0);
}

function sizeOfVerdict({ serverName = '', rule = '' }: EgressVerdict): number {
  return NOTE_SIZE + serverName.length + rule.length;
}

function sizeOfMap(map: Record<string, string>): number {
  return Object.entries(map).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
}
