import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** A certificate chain and its private key, both PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

/** Where the edge's certificate comes from. */
export type CertificateSource =
  /** Files that the operator provides. */
  | { kind: 'files'; certPath: string; keyPath: string }
  /** A self-signed one, made at first start and kept in `dir`. */
  | { kind: 'self-signed'; dir: string };

/** The longest life that common clients accept of a certificate that their user trusted by hand. */
const LIFE_DAYS = 825;
/** A new one is made this long before the old one ends. */
const RENEW_DAYS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Loads or makes the edge's certificate. `domain` is the name that sandboxes are reached under, without a port. */
export async function loadCertificate(
  source: CertificateSource,
  domain: string,
  now: Date,
): Promise<Certificate> {
  if (source.kind === 'files') {
    const [cert, key] = await Promise.all([
      readFile(source.certPath, 'utf8'),
      readFile(source.keyPath, 'utf8'),
    ]);
    return { cert, key };
  }
  const certPath = join(source.dir, 'proxy.crt');
  const keyPath = join(source.dir, 'proxy.key');
  const names = certificateNames(domain);
  const kept = await readKept(certPath, keyPath);
  if (kept && isUsable(kept, names, now)) return kept;
  const made = await selfSigned(names, now);
  await mkdir(source.dir, { recursive: true, mode: 0o700 });
  // The certificate comes last: where the two do not fit, both are made anew at the next start.
  await writeAtomically(keyPath, made.key, 0o600);
  await writeAtomically(certPath, made.cert, 0o644);
  return made;
}

/** DNS names and IP addresses that a certificate for `domain` covers. */
export function certificateNames(domain: string): { dns: string[]; ip: string[] } {
  const dns = new Set(['localhost', '*.localhost']);
  if (domain !== '') dns.add(domain).add(`*.${domain}`);
  return { dns: [...dns], ip: ['127.0.0.1', '::1'] };
}

async function readKept(certPath: string, keyPath: string): Promise<Certificate | undefined> {
  try {
    const [cert, key] = await Promise.all([readFile(certPath, 'utf8'), readFile(keyPath, 'utf8')]);
    return { cert, key };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isUsable(kept: Certificate, names: { dns: string[] }, now: Date): boolean {
  try {
    const certificate = new X509Certificate(kept.cert);
    const endsAt = new Date(certificate.validTo).getTime();
    const covered = new Set((certificate.subjectAltName ?? '').split(', '));
    return (
      endsAt - now.getTime() > RENEW_DAYS * DAY_MS &&
      names.dns.every((name) => covered.has(`DNS:${name}`)) &&
      certificate.checkPrivateKey(createPrivateKey(kept.key))
    );
  } catch {
    // Not readable as a certificate and key: as good as none.
    return false;
  }
}

async function selfSigned(names: { dns: string[]; ip: string[] }, now: Date): Promise<Certificate> {
  // Loaded only where a certificate is made. The library asks for the polyfill before it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const crypto = webcrypto;
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      // The first bit stays clear: a serial number is positive.
      serialNumber: `4${randomBytes(16).toString('hex').slice(1)}`,
      name: 'CN=Islet sandboxes',
      notBefore: new Date(now.getTime() - DAY_MS),
      notAfter: new Date(now.getTime() + (LIFE_DAYS - 1) * DAY_MS),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          ...names.dns.map((value) => ({ type: 'dns' as const, value })),
          ...names.ip.map((value) => ({ type: 'ip' as const, value })),
        ]),
      ],
    },
    crypto,
  );
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

async function writeAtomically(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
