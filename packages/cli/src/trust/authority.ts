import { X509Certificate } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { instanceAt } from '../host/instance.ts';
import { PUBLIC_FOLDER, trustFiles } from '../https/published.ts';

/** The authority of an installation, as every user of the machine may read it. */
export interface PublishedAuthority {
  /** Tells the installations of a machine apart. */
  instance: string;
  /** What people read in lists of authorities. */
  name: string;
  /** SHA-256, hexadecimal with colons. */
  fingerprint: string;
  /** ISO 8601. */
  validTo: string;
  pem: string;
  authorityFile: string;
  bundleFile: string;
}

/** Names an installation, also one that is there no more. */
export async function instanceOf(dataDir: string): Promise<string> {
  return instanceAt(await realpath(dataDir).catch(() => dataDir)).name;
}

/** @throws Error if the installation has none. */
export async function readAuthority(dataDir: string): Promise<PublishedAuthority> {
  const files = trustFiles(join(dataDir, PUBLIC_FOLDER));
  let pem: string;
  try {
    pem = await readFile(files.authorityFile, 'utf8');
  } catch (cause) {
    throw new Error(
      `there is no ${files.authorityFile}: the first start of \`islet up\` makes it, unless a certificate was given ` +
        'with --tls-cert; --data-dir names another installation',
      { cause },
    );
  }
  const certificate = new X509Certificate(pem);
  return {
    instance: await instanceOf(dataDir),
    name: /^CN=(.+)$/m.exec(certificate.subject)?.[1] ?? certificate.subject,
    fingerprint: certificate.fingerprint256,
    validTo: new Date(certificate.validTo).toISOString(),
    pem,
    ...files,
  };
}
