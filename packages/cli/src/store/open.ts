import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectDirectory, type ObjectStore, StoreUnavailableError } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { StartRefused } from '../up/claim.ts';
import type { StoreSettings } from './settings.ts';

/** Opens it, after a look whether it works. @throws StartRefused with what to do */
export async function openStore(settings: StoreSettings): Promise<ObjectStore> {
  try {
    if (settings.kind === 'directory') return await ObjectDirectory.open(settings.path);
    // Its client is larger than all that one machine needs.
    const { openS3Objects } = await import('@islet/s3');
    return await openS3Objects(settings);
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    throw new StartRefused(error.message, { cause: error.cause });
  }
}

export interface NodeStoreOptions {
  /** Where the node notes which store it has used. */
  dataDir: string;
  logger: Logger;
}

/**
 * As `openStore`, for a node: one that has used the store before starts without it if that is away, since what it runs and has
 * paused needs no store. A new one is refused, which a wrong path or bucket needs.
 */
export async function openNodeStore(
  settings: StoreSettings,
  { dataDir, logger }: NodeStoreOptions,
): Promise<ObjectStore> {
  const note = join(dataDir, 'store-used');
  const place = settings.kind === 'directory' ? settings.path : `s3://${settings.bucket}/${settings.prefix}`;
  try {
    const store = await openStore(settings);
    await writeFile(note, place, { mode: 0o600 });
    return store;
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error;
    // What cannot be read counts as none: why the store does not work is what the reader has to know.
    const used = await readFile(note, 'utf8').catch(() => undefined);
    if (used !== place) throw error;
    logger.warn({ err: error }, 'the store is away: what needs it fails until it is back');
    return unseenStore(settings);
  }
}

async function unseenStore(settings: StoreSettings): Promise<ObjectStore> {
  if (settings.kind === 'directory') return ObjectDirectory.at(settings.path);
  const { createS3Objects } = await import('@islet/s3');
  return createS3Objects(settings);
}
