import { randomBytes, webcrypto } from 'node:crypto';
import type { GeneralSubtree } from '@peculiar/asn1-x509';
import type { Extension, JsonGeneralName } from '@peculiar/x509';
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
import { permittedNames, servedNames } from './names.ts';

const AUTHORITY_LIFE_MS = 3650 * DAY_MS;
/** The key of one that was stolen is worth little for long. */
export const CERTIFICATE_LIFE_MS = 7 * DAY_MS;

const NAME_CONSTRAINTS = '2.5.29.30';

/**
 * Makes an authority that may sign for the edge of `domain` alone, whatever its key is used for.
 * @param holder whose it is: people read it in their browser's list.
 */
export async function makeAuthority(domain: string, holder: string, now: Date): Promise<Certificate> {
  const { x509 } = await loadX509();
  const keys = await newKeys();
  const mark = randomBytes(4).toString('hex');
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: [{ O: ['Islet'] }, { CN: [`Islet on ${holder} (${mark})`] }],
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + AUTHORITY_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        await nameConstraints(domain),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { cert: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** Whether an authority was made for the edge of `domain`. */
export async function permits(authority: Certificate, domain: string): Promise<boolean> {
  const { x509 } = await loadX509();
  const extension = new x509.X509Certificate(authority.cert).getExtension(NAME_CONSTRAINTS);
  if (!extension) return false;
  return Buffer.from(extension.value).equals(Buffer.from((await nameConstraints(domain)).value));
}

/** Has an authority sign a certificate for the edge of `domain`, with a key of its own. */
export async function issueCertificate(
  authority: Certificate,
  domain: string,
  now: Date,
): Promise<Certificate> {
  const { x509 } = await loadX509();
  const issuer = new x509.X509Certificate(authority.cert);
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: [{ CN: ['Islet sandboxes'] }],
      issuer: issuer.subjectName,
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + CERTIFICATE_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: await importKey(authority.key),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(alternativeNames(domain)),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { cert: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

function alternativeNames(domain: string): JsonGeneralName[] {
  const { dns, ip } = servedNames(domain);
  return [
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...ip.map((value) => ({ type: 'ip' as const, value })),
  ];
}

async function nameConstraints(domain: string): Promise<Extension> {
  const { x509, asn1, asn1X509 } = await loadX509();
  const { GeneralName, GeneralSubtree, GeneralSubtrees, NameConstraints } = asn1X509;
  const { dns, ip } = permittedNames(domain);
  const permitted: GeneralSubtree[] = [
    ...dns.map((dNSName) => new GeneralSubtree({ base: new GeneralName({ dNSName }) })),
    ...ip.map((iPAddress) => new GeneralSubtree({ base: new GeneralName({ iPAddress }) })),
  ];
  const constraints = new NameConstraints({ permittedSubtrees: new GeneralSubtrees(permitted) });
  return new x509.Extension(NAME_CONSTRAINTS, true, asn1.AsnConvert.serialize(constraints));
}
