import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogEntry {
  timestampMs: number;
  level: LogLevel;
  message: string;
  /** The phase it is from; '' if none. */
  step: string;
}

export interface LogPage {
  /** Entries of at least `level` to skip. */
  offset: number;
  limit: number;
  level: LogLevel;
}

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[];

/** Some builds write ten thousand lines; what a command writes beyond must fill neither disk nor memory. */
const MOST_ENTRIES = 25_000;
/** Of all entries as they are in the file, JSON and all. */
const MOST_CHARACTERS = 6 * 1024 ** 2;
const LONGEST_MESSAGE = 16_384;

/** Takes an entry and its place in the log, from 0. */
export type OnWrite = (entry: LogEntry, index: number) => void;

/** The log of a build that runs: in memory for its readers, and in a file, one JSON object a line, for those who come later. */
export class BuildLog {
  /** As they are in the file: an entry's own text may hold on to all that its command wrote with it. */
  readonly #lines: string[];
  readonly #file: WriteStream;
  readonly #now: () => number;
  readonly #onWrite: OnWrite;
  #characters: number;
  #leftOut = 0;

  private constructor(lines: string[], file: WriteStream, now: () => number, onWrite: OnWrite) {
    this.#lines = lines;
    this.#file = file;
    this.#now = now;
    this.#onWrite = onWrite;
    this.#characters = lines.reduce((sum, { length }) => sum + length, 0);
  }

  /** Goes on behind what an earlier process wrote. @param onWrite hears of each entry from now on */
  static async open(path: string, now: () => number, onWrite: OnWrite = () => undefined): Promise<BuildLog> {
    const lines = await readLog(path);
    const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
    // A line cut short by a crash must not swallow the next.
    if (lines.length > 0) file.write('\n');
    return new BuildLog(lines, file, now, onWrite);
  }

  /** Left out, and counted, if the log is full. */
  append(level: LogLevel, step: string, message: string): void {
    if (this.#lines.length >= MOST_ENTRIES || this.#characters >= MOST_CHARACTERS) this.#leftOut++;
    else this.#write(level, step, message);
  }

  /** The last entry, which there is room for always; before it, how many were left out. */
  finish(level: LogLevel, step: string, message: string): void {
    if (this.#leftOut > 0) this.#write('warn', step, `the log is full: ${this.#leftOut} lines were left out`);
    this.#leftOut = 0;
    this.#write(level, step, message);
  }

  page(page: LogPage): LogEntry[] {
    return selectEntries(this.#lines, page);
  }

  async close(): Promise<void> {
    this.#file.end();
    await finished(this.#file);
  }

  #write(level: LogLevel, step: string, message: string): void {
    const timestampMs = this.#now();
    const entry: LogEntry = { timestampMs, level, message: message.slice(0, LONGEST_MESSAGE), step };
    const line = JSON.stringify(entry);
    this.#onWrite(entry, this.#lines.length);
    this.#lines.push(line);
    this.#characters += line.length;
    this.#file.write(`${line}\n`);
  }
}

/** The lines of a log's file; none if there is no file. Lines that a crash cut short are passed over. */
export async function readLog(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
}

/** Only entries of the page are parsed: a build that is over is asked for its log again and again. */
export function selectEntries(lines: readonly string[], { offset, limit, level }: LogPage): LogEntry[] {
  const least = LEVELS.indexOf(level);
  const wanted = least <= 0 ? lines : lines.filter((line) => levelOf(line) >= least);
  return wanted.slice(offset, offset + limit).flatMap(parseLine);
}

/** The level stands before the message, which may hold anything. */
function levelOf(line: string): number {
  const [, level] = /"level":"(\w+)"/.exec(line.slice(0, 100)) ?? [];
  return LEVELS.indexOf(level ?? '');
}

/** Of lines that were written here, whole or cut. */
function parseLine(line: string): LogEntry[] {
  try {
    return [JSON.parse(line) as LogEntry];
  } catch {
    return [];
  }
}
