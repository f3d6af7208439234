import { once } from 'node:events';
import { createReadStream, createWriteStream, openSync, type WriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Logger } from '@islet/telemetry';
import type { LogStore } from './logs.ts';
import { type MemoryLogs, parseLine } from './memory.ts';

export interface JournaledLogs extends LogStore {
  /** Writes what is left. */
  close(): Promise<void>;
}

export interface JournalOptions {
  dir: string;
  /** What is read; the file only fills it again after a restart. */
  memory: MemoryLogs;
  /** When the file is longer it is begun anew, with the newest records of all teams in half of it. */
  bytesPerFile: number;
  logger: Logger;
}

/** Sandbox logs that outlive the process: each new record is appended to a file, and the file is read again at the start. */
export async function openJournaledLogs(options: JournalOptions): Promise<JournaledLogs> {
  const { dir, memory } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, 'sandboxes.ndjson');
  await replay(path, memory);
  const file = new JournalFile(path, options, await sizeOf(path));
  return {
    async write(logs) {
      file.append(logs.flatMap((log) => memory.add(log)?.line ?? []));
      await file.settled();
    },
    query: (query) => memory.query(query),
    close: () => file.close(),
  };
}

/** The file. It holds little of a team that writes much, and so is as fair as the memory that it is made from. */
class JournalFile {
  readonly #path: string;
  readonly #options: JournalOptions;
  #file: WriteStream | undefined;
  #bytes: number;
  /** What comes while the file is begun anew. */
  #waiting: string[] | undefined;
  #renewal: Promise<void> | undefined;

  constructor(path: string, options: JournalOptions, bytes: number) {
    this.#path = path;
    this.#options = options;
    this.#bytes = bytes;
    this.#file = this.#open();
    // A line cut short by a crash must not swallow the next.
    if (bytes > 0) this.#file?.write('\n');
  }

  append(lines: readonly string[]): void {
    if (this.#waiting) {
      this.#waiting.push(...lines);
      return;
    }
    if (!this.#file || lines.length === 0) return;
    const text = lines.map((line) => `${line}\n`).join('');
    this.#bytes += Buffer.byteLength(text);
    this.#file.write(text);
    if (this.#bytes > this.#options.bytesPerFile) {
      this.#waiting = [];
      this.#renewal = this.#renew();
    }
  }

  /** Waits until the disk keeps up: what waits for it takes memory. */
  async settled(): Promise<void> {
    // What waited for one may have been enough for the next.
    while (this.#renewal) await this.#renewal;
    const file = this.#file;
    if (!file?.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      for (const event of ['drain', 'close']) file.once(event, resolve);
    });
  }

  async close(): Promise<void> {
    while (this.#renewal) await this.#renewal;
    if (!this.#file) return;
    this.#file.end();
    await once(this.#file, 'close');
  }

  async #renew(): Promise<void> {
    const { memory, bytesPerFile } = this.#options;
    const temporary = `${this.#path}.new`;
    this.#file?.destroy();
    try {
      const lines = memory.newest(bytesPerFile / 2).map(({ line }) => `${line}\n`);
      const text = lines.join('');
      await writeFile(temporary, text, { mode: 0o600 });
      await rename(temporary, this.#path);
      this.#bytes = Buffer.byteLength(text);
      this.#file = this.#open();
    } catch (error) {
      this.#giveUp(error);
      await rm(temporary, { force: true }).catch(() => undefined);
    }
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#renewal = undefined;
    this.append(waiting);
  }

  #open(): WriteStream | undefined {
    try {
      return createWriteStream(this.#path, { fd: openSync(this.#path, 'a', 0o600) }).on('error', (error) =>
        this.#giveUp(error),
      );
    } catch (error) {
      this.#giveUp(error);
      return undefined;
    }
  }

  /** A full disk must not end sandboxes, nor what is told of them. */
  #giveUp(error: unknown): void {
    this.#options.logger.warn({ err: error }, 'sandbox logs are kept in memory alone from now on');
    this.#file = undefined;
  }
}

async function replay(path: string, memory: MemoryLogs): Promise<void> {
  if ((await sizeOf(path)) === 0) return;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const log = parseLine(line);
    if (log) memory.add(log);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}
