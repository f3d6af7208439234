import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogEntry {
  timestampMs: number;
  level: LogLevel;
  message: string;
  /** The phase it is from; '' where none. */
  step: string;
}

export interface LogPage {
  /** Entries of at least `level` to skip. */
  offset: number;
  limit: number;
  level: LogLevel;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** A command that writes without end must not fill the disk; some builds write ten thousand lines. */
const MOST_ENTRIES = 100_000;
const LONGEST_MESSAGE = 16_384;

/** The log of a build that runs: in memory for its readers, and in a file, one JSON object a line, for those who come later. */
export class BuildLog {
  readonly #entries: LogEntry[];
  readonly #file: WriteStream;
  readonly #now: () => number;

  private constructor(entries: LogEntry[], file: WriteStream, now: () => number) {
    this.#entries = entries;
    this.#file = file;
    this.#now = now;
  }

  /** Goes on behind what an earlier process wrote. */
  static async open(path: string, now: () => number): Promise<BuildLog> {
    const entries = await readLog(path);
    const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
    // A line cut short by a crash must not swallow the next.
    if (entries.length > 0) file.write('\n');
    return new BuildLog(entries, file, now);
  }

  append(level: LogLevel, step: string, message: string): void {
    if (this.#entries.length > MOST_ENTRIES) return;
    const full = this.#entries.length === MOST_ENTRIES;
    const entry: LogEntry = {
      timestampMs: this.#now(),
      level: full ? 'warn' : level,
      message: full ? 'the log is full: what follows is left out' : message.slice(0, LONGEST_MESSAGE),
      step,
    };
    this.#entries.push(entry);
    this.#file.write(`${JSON.stringify(entry)}\n`);
  }

  page(page: LogPage): LogEntry[] {
    return selectEntries(this.#entries, page);
  }

  async close(): Promise<void> {
    this.#file.end();
    await finished(this.#file);
  }
}

/** The entries in a log's file; none where there is no file. Lines that a crash cut short are passed over. */
export async function readLog(path: string): Promise<LogEntry[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    if (!line.endsWith('}')) return [];
    try {
      return [JSON.parse(line) as LogEntry];
    } catch {
      return [];
    }
  });
}

export function selectEntries(entries: readonly LogEntry[], { offset, limit, level }: LogPage): LogEntry[] {
  const least = LEVELS.indexOf(level);
  const wanted = least <= 0 ? entries : entries.filter((entry) => LEVELS.indexOf(entry.level) >= least);
  return wanted.slice(offset, offset + limit);
}
