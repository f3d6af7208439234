import { randomBytes } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

/** What others need to trust an installation's authority. */
export interface TrustFiles {
  /** The authority's certificate: for what trusts it in addition (`NODE_EXTRA_CA_CERTS`, `curl --cacert`). */
  authorityFile: string;
  /** The system's roots and it: for what trusts a file in place of the system's (`SSL_CERT_FILE`). */
  bundleFile: string;
}

/** The folder of the data directory that holds them. */
export const PUBLIC_FOLDER = 'https';

/** Where distributions keep the roots that OpenSSL trusts, in one file. */
const SYSTEM_ROOTS = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

export function trustFiles(folder: string): TrustFiles {
  return { authorityFile: join(folder, 'authority.pem'), bundleFile: join(folder, 'bundle.pem') };
}

/**
 * Writes both files if they are not what they must be. Every user of the machine may read them: nothing in them is
 * secret.
 * @param roots the system's, PEM.
 */
export async function publish(files: TrustFiles, authority: string, roots: string): Promise<void> {
  await writeIfOther(files.authorityFile, authority);
  const others = roots.includes(authority.trim()) ? '' : authority;
  await writeIfOther(files.bundleFile, `${roots.trimEnd()}\n${others}`);
}

/** The roots that programs of this machine trust; those that Node.js brings if there are none. */
export async function readSystemRoots(paths: readonly string[] = SYSTEM_ROOTS): Promise<string> {
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  }
  return rootCertificates.join('\n');
}

async function writeIfOther(path: string, text: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, text, { flush: true });
  await chmod(draft, 0o644);
  await rename(draft, path);
}
