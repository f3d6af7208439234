import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { StateFileError, TornFileError } from './chunk-reader.ts';
import { type Fields, readStreams } from './state-file.ts';

/** Of a snapshot: the sandbox's memory, one page behind the other, and which pages these are. */
export const PAGES_FILE = 'pages.img';
export const PAGES_TABLE_FILE = 'pages_meta.img';

/** A stretch of a sandbox's memory. */
const STRETCH = 'pkg/sentry/pgalloc.memAcctFlatSegment';

/** An idle sandbox's has 5 KB. */
const MAX_TABLE_BYTES = 128 * 1024 * 1024;

/**
 * Makes sure that a checkpoint has all of the sandbox's memory. gVisor (release 20240729) writes the table first and the pages last, when its
 * command has returned: a sandbox that is killed meanwhile leaves fewer of them.
 * @throws TornFileError if pages are missing, StateFileError if the table is not as this release writes it, or too large
 */
export async function assertAllPages(snapshotDir: string): Promise<void> {
  const table = join(snapshotDir, PAGES_TABLE_FILE);
  const { size: tableBytes } = await stat(table);
  if (tableBytes > MAX_TABLE_BYTES) throw new StateFileError(`the table of pages has ${tableBytes} bytes`);
  const wanted = savedBytes(await readFile(table));
  const { size } = await stat(join(snapshotDir, PAGES_FILE));
  if (size < wanted) throw new TornFileError(`there are ${size} bytes of memory, and not ${wanted}`);
}

/** What all stretches take that are saved, bytes, as `pages_meta.img` says. @throws StateFileError */
export function savedBytes(table: Buffer): number {
  if (table.length === 0) throw new TornFileError('there is no table of pages');
  let bytes = 0;
  readStreams(table, {
    types: new Set([STRETCH]),
    onElement: (_, fields) => {
      const value = fields.get('Value');
      const isSaved = value?.kind === 'struct' && isTrue(value.fields, 'knownCommitted');
      if (isSaved) bytes += numberOf(fields, 'End') - numberOf(fields, 'Start');
    },
  });
  return bytes;
}

function numberOf(fields: Fields, name: string): number {
  const field = fields.get(name);
  return field?.kind === 'uint' ? field.value : 0;
}

function isTrue(fields: Fields, name: string): boolean {
  const field = fields.get(name);
  return field?.kind === 'bool' && field.value;
}
