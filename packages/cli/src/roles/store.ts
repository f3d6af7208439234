import { ObjectDirectory, type ObjectStore } from '@islet/snapshots';
import type { StoreLocation } from '../options/parse.ts';

/** Opens the store that all nodes of an installation share. @throws Error with what is wrong with it */
export async function openStore(location: StoreLocation): Promise<ObjectStore> {
  if (location.kind === 's3') throw new Error('a store of S3 is not known to this version');
  return ObjectDirectory.open(location.directory);
}
