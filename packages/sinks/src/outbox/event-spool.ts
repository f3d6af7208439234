import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { EVENT_TYPES, type SandboxLifeEvent } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';

export interface EventSpoolOptions {
  dir: string;
  /** Of each of the two files; when the newer one is larger the older one goes. */
  bytesPerFile: number;
  logger: Logger;
}

/** What a node remembers, over its own end, of what it last said of each of its sandboxes. */
export interface LifeMemory {
  /** By sandbox. Undefined: nobody knows, as at the first start. */
  readonly remembered: ReadonlyMap<string, SandboxLifeEvent> | undefined;
  /** What was not said is remembered as if it had been. */
  remember(event: SandboxLifeEvent): void;
  /** A sandbox is not the node's any more, without an end. */
  forget(sandboxId: string): void;
}

/** A line of a file: an event for readers, or what is only remembered. */
type Line = { event: SandboxLifeEvent } | { last: SandboxLifeEvent } | { gone: string };

/**
 * A node's newest events in two files. An event is written before anybody is told of what it says, with a write that outlives
 * the process, and is read again at the next start: who has it already passes over it by its id.
 */
export class EventSpool implements LifeMemory, Disposable {
  readonly remembered: ReadonlyMap<string, SandboxLifeEvent> | undefined;
  readonly #options: EventSpoolOptions;
  /** What was last said of each sandbox that is there. */
  readonly #last = new Map<string, SandboxLifeEvent>();
  #left: SandboxLifeEvent[];
  #file: number | undefined;
  #length = 0;

  /** Opens what a process before has left; what it could not write whole is passed over. */
  constructor(options: EventSpoolOptions) {
    this.#options = options;
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    // The process before was killed while it turned its files.
    if (existsSync(this.#next) && !existsSync(this.#newer)) renameSync(this.#next, this.#newer);
    const [older, newer] = [readText(this.#older), readText(this.#newer)];
    this.#left = [older, newer].flatMap((text) => [...this.#replay(text ?? '')]);
    this.remembered = newer === undefined ? undefined : new Map(this.#last);
    this.#open();
    // A line cut short must not swallow the next.
    if (newer !== undefined && newer !== '' && !newer.endsWith('\n')) this.#write('\n');
  }

  /** Hands over the events of processes before this one, in their order. */
  takeLeft(): SandboxLifeEvent[] {
    const left = this.#left;
    this.#left = [];
    return left;
  }

  append(event: SandboxLifeEvent): void {
    this.#see(event);
    this.#write(`${JSON.stringify({ event } satisfies Line)}\n`);
    if (this.#length > this.#options.bytesPerFile) this.#turn();
  }

  remember(event: SandboxLifeEvent): void {
    this.#see(event);
    this.#write(`${JSON.stringify({ last: event } satisfies Line)}\n`);
  }

  forget(sandboxId: string): void {
    if (!this.#last.delete(sandboxId)) return;
    this.#write(`${JSON.stringify({ gone: sandboxId } satisfies Line)}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  get #newer(): string {
    return join(this.#options.dir, 'events.ndjson');
  }

  get #older(): string {
    return join(this.#options.dir, 'events.1.ndjson');
  }

  get #next(): string {
    return `${this.#newer}.new`;
  }

  #see(event: SandboxLifeEvent): void {
    const { sandboxId } = event;
    if (event.type === 'killed') {
      this.#last.delete(sandboxId);
      return;
    }
    const { execution, endAtMs } = this.#last.get(sandboxId) ?? {};
    this.#last.set(sandboxId, {
      ...event,
      ...(execution && !event.execution && { execution }),
      ...(endAtMs !== undefined && event.endAtMs === undefined && { endAtMs }),
    });
  }

  *#replay(text: string): Generator<SandboxLifeEvent> {
    for (const line of text.split('\n')) {
      const read = parseLine(line);
      if (!read) continue;
      if ('gone' in read) this.#last.delete(read.gone);
      else if ('last' in read) this.#see(read.last);
      else {
        this.#see(read.event);
        yield read.event;
      }
    }
  }

  /** The newer file becomes the older one; the next begins with what is remembered. */
  #turn(): void {
    const lines = [...this.#last.values()].map((last) => `${JSON.stringify({ last } satisfies Line)}\n`);
    this[Symbol.dispose]();
    try {
      writeFileSync(this.#next, lines.join(''), { mode: 0o600 });
      renameSync(this.#newer, this.#older);
      renameSync(this.#next, this.#newer);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    this.#open();
  }

  #open(): void {
    try {
      this.#file = openSync(this.#newer, 'a', 0o600);
      this.#length = fstatSync(this.#file).size;
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #write(text: string): void {
    if (this.#file === undefined) return;
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
      this.#length += bytes.length;
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** A full disk must end no sandbox. What is remembered is not whole from here on, and the next start must not build on it. */
  #giveUp(error: unknown): void {
    const { logger, dir } = this.#options;
    logger.error(
      { err: error, dir },
      'events cannot be written: those that are not read by then are lost if the node ends. Free disk space and restart it',
    );
    this[Symbol.dispose]();
    rmSync(this.#next, { force: true });
    if (existsSync(this.#newer)) renameSync(this.#newer, this.#older);
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined if it is cut short, or not one of these. */
function parseLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Partial<Record<'event' | 'last', unknown>> & { gone?: unknown };
    if (typeof line.gone === 'string') return { gone: line.gone };
    if (isEvent(line.event)) return { event: line.event };
    return isEvent(line.last) ? { last: line.last } : undefined;
  } catch {
    return undefined;
  }
}

const NAMES = ['id', 'sandboxId', 'teamId', 'executionId', 'templateId', 'buildId'] as const;

function isEvent(value: unknown): value is SandboxLifeEvent {
  if (typeof value !== 'object' || value === null) return false;
  const event = value as Partial<Record<keyof SandboxLifeEvent, unknown>>;
  if (NAMES.some((name) => typeof event[name] !== 'string')) return false;
  const isKnown = EVENT_TYPES.some((type) => type === event.type);
  return (
    isKnown && Number.isFinite(event.timeMs) && typeof event.metadata === 'object' && event.metadata !== null
  );
}
