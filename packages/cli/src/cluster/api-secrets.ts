import { join } from 'node:path';
import { type Certificate, fingerprintOf } from '@islet/certificates';
import type { clusterProto } from '@islet/contracts';
import { parseMasterKeys } from '@islet/vault';
import { MASTER_KEY_FILE } from '../host/master-key-file.ts';
import { isSeed, keepSecret, openSecrets, readSecret } from '../host/secrets.ts';
import { isPair } from '../https/certificate-source.ts';
import { keepPair } from '../https/pair-file.ts';
import type { SharedSecrets } from '../roles/shared-secrets.ts';
import { AUTHORITY_FILE } from './authority.ts';

/** What another API needs to be one of the cluster's. Whoever has it is the cluster. */
export interface ApiSecrets extends SharedSecrets {
  /** As their file has them. */
  masterKeys: string;
  authority: Certificate;
}

/** What an API has sent. Undefined if that is not of the authority, or damaged. */
export function readApiSecrets(sent: clusterProto.ApiSecrets, fingerprint: string): ApiSecrets | undefined {
  const { authorityKey: key, authorityCertificate: cert, tokenSeed, adminToken, masterKeys } = sent;
  const authority = { cert, key };
  const isWhole =
    isPair(authority) && isSeed(tokenSeed) && isSeed(adminToken) && parseMasterKeys(masterKeys) !== undefined;
  if (!isWhole || fingerprintOf(cert) !== fingerprint) return undefined;
  return { authority, tokenSeed, adminToken, masterKeys };
}

const NAMES = {
  tokenSeed: 'token-seed',
  adminToken: 'admin-token',
  masterKeys: MASTER_KEY_FILE,
  authority: AUTHORITY_FILE,
};

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
  await keepSecret(join(dir, NAMES.masterKeys), secrets.masterKeys);
  await keepPair(join(dir, NAMES.authority), secrets.authority);
}
