import { ObjectDirectory, type ObjectStore, StoreUnavailableError } from '@islet/snapshots';
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
