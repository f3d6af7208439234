import { readdirSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { filesystemProto } from '@islet/contracts';
import type { EntryReader } from './entry.ts';

/** Entries described between two turns of the event loop, so that a large tree does not stop everything else. */
const ENTRIES_A_TURN = 200;

/**
 * Describes what is below a directory, in lexical pre-order, `depth` levels down. The directory itself may be reached
 * through a link; links below it are not followed.
 */
export async function listDirectory(
  root: string,
  options: { depth: number; reader: EntryReader; signal: AbortSignal },
): Promise<filesystemProto.EntryInfo[]> {
  const entries: filesystemProto.EntryInfo[] = [];
  const realRoot = realpathSync(root);
  const pending: { real: string; shown: string; level: number }[] = [];
  const enqueue = (real: string, shown: string, level: number) => {
    // Names in reverse, because the last one pushed is the next one taken.
    for (const name of readdirSync(real).sort().reverse()) {
      pending.push({ real: posix.join(real, name), shown: joinShown(shown, name), level });
    }
  };
  enqueue(realRoot, root, 1);
  for (let item = pending.pop(); item; item = pending.pop()) {
    if (entries.length % ENTRIES_A_TURN === ENTRIES_A_TURN - 1)
      await nextTurn(undefined, { signal: options.signal });
    const entry = readIfThere(options.reader, item.real, item.shown);
    if (!entry) continue;
    entries.push(entry);
    const isRealDirectory = entry.permissions.startsWith('d');
    if (isRealDirectory && item.level < options.depth)
      ignoreVanished(() => enqueue(item.real, item.shown, item.level + 1));
  }
  return entries;
}

function joinShown(base: string, name: string): string {
  return base.endsWith('/') ? base + name : `${base}/${name}`;
}

/** Undefined for what was deleted since its name was read. */
function readIfThere(
  reader: EntryReader,
  real: string,
  shown: string,
): filesystemProto.EntryInfo | undefined {
  return ignoreVanished(() => reader.read(real, shown));
}

function ignoreVanished<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
