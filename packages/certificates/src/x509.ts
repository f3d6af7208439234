import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import type { X509Certificate } from '@peculiar/x509';

export const HOUR_MS = 60 * 60 * 1000;
export const DAY_MS = 24 * HOUR_MS;
/** Clocks of others may be late. */
export const BACKDATED_MS = HOUR_MS;

export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Takes a while to load, and is needed only when something is signed. */
export async function loadX509() {
  // The library asks for the polyfill before it.
  await import('reflect-metadata');
  const [x509, asn1, asn1X509] = await Promise.all([
    import('@peculiar/x509'),
    import('@peculiar/asn1-schema'),
    import('@peculiar/asn1-x509'),
  ]);
  return { x509, asn1, asn1X509 };
}

export function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** 16 bytes, the first bit clear and the second set: a positive number of that length. */
export function newSerial(): string {
  return `4${randomBytes(16).toString('hex').slice(1)}`;
}

export function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}

export function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
}
