import { join } from 'node:path';
import { type Certificate, makeClusterAuthority } from '@islet/certificates';
import { openSecrets } from '../host/secrets.ts';
import { keepPair, readAuthority } from '../https/pair-file.ts';

/**
 * The authority of the cluster, made by the first API that is open to other machines. All APIs of a cluster have the same: its
 * key is a secret of their data directories.
 */
export async function openAuthority(dataDir: string, now: Date): Promise<Certificate> {
  const path = join(await openSecrets(dataDir), 'cluster-authority');
  const kept = await readAuthority(path);
  if (kept) return kept;
  const made = await makeClusterAuthority(now);
  await keepPair(path, made);
  return made;
}
