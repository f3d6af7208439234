import { join } from 'node:path';
import { type Certificate, makeClusterAuthority } from '@islet/certificates';
import { openSecrets } from '../host/secrets.ts';
import { keepPair, readAuthority } from '../https/pair-file.ts';

/** Its name among the secrets of a data directory. */
export const AUTHORITY_FILE = 'cluster-authority';

/**
 * The authority of the cluster, made by the first API that is open to other machines. All APIs of a cluster have the same: its
 * key is a secret of their data directories.
 */
export async function openAuthority(dataDir: string, now: Date): Promise<Certificate> {
  const path = join(await openSecrets(dataDir), AUTHORITY_FILE);
  const kept = await readAuthority(path);
  if (kept) return kept;
  const made = await makeClusterAuthority(now);
  await keepPair(path, made);
  return made;
}
