import { createPublicKey, webcrypto } from 'node:crypto';
import type { Certificate } from '../certificate.ts';
import {
  ALGORITHM,
  BACKDATED_MS,
  DAY_MS,
  exportKey,
  importKey,
  loadX509,
  newKeys,
  newSerial,
  pemOf,
} from '../x509.ts';

const AUTHORITY_LIFE_MS = 3650 * DAY_MS;
/** A key that was stolen is worth little for long. */
const LEAF_LIFE_MS = DAY_MS;

/** Makes the authority by which sandboxes take the egress gateway for the domains that their rules name. */
export async function makeEgressAuthority(now: Date): Promise<Certificate> {
  const { x509 } = await loadX509();
  const keys = await newKeys();
  const serialNumber = newSerial();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber,
      name: [{ O: ['Islet'] }, { CN: [`Islet egress gateway (${serialNumber.slice(0, 8)})`] }],
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + AUTHORITY_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { cert: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/**
 * Certifies a key for a domain, for a day.
 * @param domain lower-case
 * @param publicKey SPKI of an EC key, PEM
 * @throws Error if that is no such key
 */
export async function certifyDomain(
  authority: Certificate,
  domain: string,
  publicKey: string,
  now: Date,
): Promise<string> {
  const { x509 } = await loadX509();
  const issuer = new x509.X509Certificate(authority.cert);
  const spki = createPublicKey(publicKey).export({ type: 'spki', format: 'der' });
  const key = await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: [{ CN: ['Islet egress gateway'] }],
      issuer: issuer.subjectName,
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + LEAF_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      publicKey: key,
      signingKey: await importKey(authority.key),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: domain }]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
        await x509.SubjectKeyIdentifierExtension.create(key, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return pemOf(certificate);
}
