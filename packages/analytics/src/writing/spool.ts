import { appendFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Lines of one table and of some teams, in a file. */
export interface Segment {
  table: string;
  path: string;
}

/** A row on its way. */
export interface Row {
  teamId: string;
  /** A JSON object, with a line feed behind it. */
  line: string;
}

interface KnownSegment extends Segment {
  lane: string;
  bytes: number;
}

export interface SpoolOptions {
  dir: string;
  /** Of all files together, bytes. */
  maxBytes: number;
  /** Of one file, about, bytes: so much is read at once. */
  segmentBytes: number;
  /** So many rows had to be given up. */
  onDrop: (rows: number) => void;
}

/** Among how many lanes the teams of a table are divided. */
const LANES = 16;
const NAME = /^([a-z_]+)\.([0-9]+)\.([0-9]+)\.ndjson$/;

/**
 * Rows that wait for the server, on disk. Each table has some lanes, among which its teams are divided. If they hold
 * too much together, the longest lane loses its oldest rows: a team that floods takes little of others, and logs take
 * nothing of events.
 */
export class Spool {
  readonly #options: SpoolOptions;
  /** By lane, oldest first. */
  readonly #lanes = new Map<string, KnownSegment[]>();
  /** The file that a lane is added to, if there is one. */
  readonly #open = new Map<string, KnownSegment>();
  #bytes = 0;
  #next: number;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: SpoolOptions, found: KnownSegment[], next: number) {
    this.#options = options;
    this.#next = next;
    for (const segment of found) this.#add(segment);
  }

  /** With what an earlier process left there. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const { dir } = options;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const found: (KnownSegment & { number: number })[] = [];
    for (const name of await readdir(dir)) {
      const [, table = '', lane = '', number = ''] = NAME.exec(name) ?? [];
      if (table === '') continue;
      const path = join(dir, name);
      found.push({
        table,
        path,
        lane: `${table}.${lane}`,
        number: Number(number),
        bytes: (await stat(path)).size,
      });
    }
    found.sort((a, b) => a.number - b.number);
    return new Spool(options, found, (found.at(-1)?.number ?? 0) + 1);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when the rows are on disk. @throws what the file system says, with none or some of them there */
  add(table: string, rows: readonly Row[]): Promise<void> {
    return this.#inTurn(async () => {
      for (const [lane, text] of byLane(table, rows)) {
        const segment = this.#open.get(lane) ?? this.#begin(table, lane);
        try {
          await appendFile(segment.path, text, { mode: 0o600, flush: true });
        } catch (error) {
          // What was cut off there must not swallow the next.
          this.#open.delete(lane);
          throw error;
        }
        const bytes = Buffer.byteLength(text);
        segment.bytes += bytes;
        this.#bytes += bytes;
        if (segment.bytes >= this.#options.segmentBytes) this.#open.delete(lane);
      }
      while (this.#bytes > this.#options.maxBytes) await this.#dropOldest();
    });
  }

  /** The segment that has waited longest, with its lines. Nothing is added to it any more. Undefined: nothing waits. */
  takeOldest(): Promise<{ segment: Segment; lines: string } | undefined> {
    return this.#inTurn(async () => {
      const [first] = [...this.#lanes.values()].flatMap(([oldest]) => oldest ?? []).sort(byAge);
      if (!first) return undefined;
      this.#open.delete(first.lane);
      const text = await readFile(first.path, 'utf8').catch(ifAbsent(''));
      // Behind the last line feed is what a crash cut off: whoever wrote it was not told that it was there.
      return { segment: first, lines: text.slice(0, text.lastIndexOf('\n') + 1) };
    });
  }

  /** The rows of a segment are where they belong. */
  remove(segment: Segment): Promise<void> {
    return this.#inTurn(() => this.#remove(segment));
  }

  #begin(table: string, lane: string): KnownSegment {
    const path = join(this.#options.dir, `${lane}.${this.#next++}.ndjson`);
    const segment = { table, lane, path, bytes: 0 };
    this.#add(segment);
    this.#open.set(lane, segment);
    return segment;
  }

  #add(segment: KnownSegment): void {
    const lane = this.#lanes.get(segment.lane) ?? [];
    lane.push(segment);
    this.#lanes.set(segment.lane, lane);
    this.#bytes += segment.bytes;
  }

  async #remove({ path }: Segment): Promise<void> {
    await rm(path, { force: true });
    for (const [name, lane] of this.#lanes) {
      const at = lane.findIndex((segment) => segment.path === path);
      if (at === -1) continue;
      const [removed] = lane.splice(at, 1);
      this.#bytes -= removed?.bytes ?? 0;
      if (this.#open.get(name)?.path === path) this.#open.delete(name);
      if (lane.length === 0) this.#lanes.delete(name);
    }
  }

  async #dropOldest(): Promise<void> {
    const sizeOf = (lane: KnownSegment[]) => lane.reduce((sum, { bytes }) => sum + bytes, 0);
    const [largest] = [...this.#lanes.values()].sort((a, b) => sizeOf(b) - sizeOf(a));
    const oldest = largest?.[0];
    if (!oldest) return;
    const text = await readFile(oldest.path, 'utf8').catch(ifAbsent(''));
    await this.#remove(oldest);
    this.#options.onDrop(text.split('\n').length - 1);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

/** What stands for a file that somebody took away. */
function ifAbsent<T>(value: T) {
  return (error: unknown): T => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return value;
    throw error;
  };
}

function byAge(a: KnownSegment, b: KnownSegment): number {
  const number = ({ path }: KnownSegment) => Number(NAME.exec(path.slice(path.lastIndexOf('/') + 1))?.[3]);
  return number(a) - number(b);
}

function byLane(table: string, rows: readonly Row[]): Map<string, string> {
  const lanes = new Map<string, string[]>();
  for (const { teamId, line } of rows) {
    const name = `${table}.${laneOf(teamId)}`;
    const lane = lanes.get(name) ?? [];
    lane.push(line);
    lanes.set(name, lane);
  }
  return new Map([...lanes].map(([name, lines]) => [name, lines.join('')]));
}

/** Any function will do that gives a team the same lane always and spreads teams. */
function laneOf(teamId: string): number {
  let sum = 0;
  for (let at = 0; at < teamId.length; at++) sum = (sum * 31 + teamId.charCodeAt(at)) >>> 0;
  return sum % LANES;
}
