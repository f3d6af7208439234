import { once } from 'node:events';
import { createReadStream, createWriteStream, openSync, renameSync, type WriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SandboxLog } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { MemoryLogs } from './memory.ts';

export interface JournaledLogs extends MemoryLogs {
  /** Writes what is left. */
  close(): Promise<void>;
}

export interface JournalOptions {
  dir: string;
  /** What is read; the files only fill it again after a restart. */
  memory: MemoryLogs;
  /** Of each of the two files, of which the older one goes when the newer one is full. */
  bytesPerFile: number;
  logger: Logger;
}

/** Sandbox logs that outlive the process: each new record is appended to a file, and the files are read again at the start. */
export async function openJournaledLogs(options: JournalOptions): Promise<JournaledLogs> {
  const { dir, memory, bytesPerFile, logger } = options;
  const [path, older] = [join(dir, 'sandboxes.ndjson'), join(dir, 'sandboxes.1.ndjson')];
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const file of [older, path]) await replay(file, memory);
  let bytes = await sizeOf(path);
  let file: WriteStream | undefined;
  file = open();
  // A line cut short by a crash must not swallow the next.
  if (bytes > 0) file?.write('\n');

  function open(): WriteStream | undefined {
    try {
      return createWriteStream(path, { fd: openSync(path, 'a', 0o600) }).on('error', giveUp);
    } catch (error) {
      giveUp(error);
      return undefined;
    }
  }
  /** A full disk must not end sandboxes, nor what is told of them. */
  function giveUp(error: unknown): void {
    logger.warn({ err: error }, 'sandbox logs are kept in memory alone from now on');
    file = undefined;
  }

  return {
    record(log) {
      if (!memory.record(log)) return false;
      const line = `${JSON.stringify(log)}\n`;
      bytes += Buffer.byteLength(line);
      file?.write(line);
      if (file && bytes > bytesPerFile) {
        file.end();
        renameSync(path, older);
        file = open();
        bytes = 0;
      }
      return true;
    },
    query: (query) => memory.query(query),
    async close() {
      if (!file) return;
      file.end();
      await once(file, 'close');
    },
  };
}

async function replay(path: string, memory: MemoryLogs): Promise<void> {
  if ((await sizeOf(path)) === 0) return;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const log = parse(line);
    if (log) memory.record(log);
  }
}

function parse(line: string): SandboxLog | undefined {
  try {
    return JSON.parse(line) as SandboxLog;
  } catch {
    return undefined;
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}
