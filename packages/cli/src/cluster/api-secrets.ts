import { join } from 'node:path';
import { type Certificate, fingerprintOf } from '@islet/certificates';
import type { clusterProto } from '@islet/contracts';
import { isSeed, keepSecret, openSecrets, readSecret } from '../host/secrets.ts';
import { isPair } from '../https/certificate-source.ts';
import { keepPair } from '../https/pair-file.ts';
import type { SharedSecrets } from '../roles/shared-secrets.ts';
import { AUTHORITY_FILE } from './authority.ts';

/** What another API needs to be one of the cluster's. Whoever has it is the cluster. */
export interface ApiSecrets extends SharedSecrets {
  authority: Certificate;
}

/** What an API has sent. Undefined if that is not of the authority, or damaged. */
export function readApiSecrets(sent: clusterProto.ApiSecrets, fingerprint: string): ApiSecrets | undefined {
  const { authorityKey: key, authorityCertificate: cert, tokenSeed, adminToken } = sent;
  const authority = { cert, key };
  const isWhole = isPair(authority) && isSeed(tokenSeed) && isSeed(adminToken);
  return isWhole && fingerprintOf(cert) === fingerprint ? { authority, tokenSeed, adminToken } : undefined;
}

const NAMES = { tokenSeed: 'token-seed', adminToken: 'admin-token', authority: AUTHORITY_FILE };

/** The first secret of an API that a data directory has; undefined if it has none. */
export async function findApiSecret(dataDir: string): Promise<string | undefined> {
  const dir = await openSecrets(dataDir);
  for (const name of Object.values(NAMES)) {
    if ((await readSecret(join(dir, name))) !== undefined) return join(dir, name);
  }
  return undefined;
}

/** Writes them where an API looks for them. The authority comes last: with it, all are there. */
export async function keepApiSecrets(dataDir: string, secrets: ApiSecrets): Promise<void> {
  const dir = await openSecrets(dataDir);
  await keepSecret(join(dir, NAMES.tokenSeed), secrets.tokenSeed);
  await keepSecret(join(dir, NAMES.adminToken), secrets.adminToken);
  await keepPair(join(dir, NAMES.authority), secrets.authority);
}
