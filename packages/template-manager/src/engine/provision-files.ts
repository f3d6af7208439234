import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProvisionFiles } from '../inside/task.ts';

/** Where Debian and those like it keep the certificates that this machine trusts. */
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** The base template gives its texts to all others. */
export async function readProvisionFiles(templatesDir: string): Promise<ProvisionFiles> {
  const read = (name: string) => readFile(join(templatesDir, 'base/files/etc', name), 'utf8');
  return {
    profile: await read('profile'),
    skeleton: { '.bashrc': await read('skel/.bashrc'), '.profile': await read('skel/.profile') },
    certificates: await readFile(CERTIFICATES, 'utf8').catch(() => undefined),
  };
}
