import { X509Certificate as NodeCertificate, randomBytes, webcrypto } from 'node:crypto';
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
import { type Identity, identityUri } from './identity.ts';

const AUTHORITY_LIFE_MS = 3650 * DAY_MS;
/** Long enough to be without an API for some hours, and short enough that a stolen one is worth little. */
export const MEMBER_LIFE_MS = DAY_MS;
/** Of a request for a certificate, which is some 300. */
const REQUEST_BYTES = 4_096;

/** A certificate of the cluster's authority. */
export interface MemberCertificate {
  /** PEM: the member's own, then the authority's. */
  cert: string;
  /** Hexadecimal digits. */
  serial: string;
  expiresAt: Date;
}

/** A request for a certificate that is none, or none that the authority signs. */
export class BadCertificateRequest extends Error {
  override readonly name = 'BadCertificateRequest';
}

/** Makes the authority of a cluster, which signs for its members alone: nobody else is to trust it. */
export async function makeClusterAuthority(now: Date): Promise<Certificate> {
  const { x509 } = await loadX509();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: [{ O: ['Islet'] }, { CN: [`Islet cluster ${randomBytes(4).toString('hex')}`] }],
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: new Date(now.getTime() + AUTHORITY_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { cert: pemOf(certificate), key: await exportKey(keys.privateKey) };
}

/** What names an authority: the SHA-256 of its certificate, 64 hexadecimal digits. */
export function fingerprintOf(cert: string): string {
  return new NodeCertificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
}

/** Makes a key, and the request to have it certified: the key stays where it was made. Both PEM. */
export async function requestCertificate(): Promise<{ key: string; request: string }> {
  const { x509 } = await loadX509();
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { keys, signingAlgorithm: ALGORITHM },
    webcrypto,
  );
  return { key: await exportKey(keys.privateKey), request: `${request.toString('pem')}\n` };
}

/**
 * Signs for the key of a request. Who that is, the caller says: what the request says of itself counts for nothing.
 * @param request PEM
 * @throws BadCertificateRequest
 */
export async function certifyMember(
  authority: Certificate,
  request: string,
  identity: Identity,
  now: Date,
): Promise<MemberCertificate> {
  const { x509 } = await loadX509();
  const publicKey = await keyOf(request);
  const issuer = new x509.X509Certificate(authority.cert);
  const expiresAt = new Date(now.getTime() + MEMBER_LIFE_MS);
  const serial = newSerial();
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial,
      subject: [{ O: ['Islet'] }, { CN: [`${identity.role} ${identity.name}`] }],
      issuer: issuer.subjectName,
      notBefore: new Date(now.getTime() - BACKDATED_MS),
      notAfter: expiresAt,
      signingAlgorithm: ALGORITHM,
      publicKey,
      signingKey: await importKey(authority.key),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identityUri(identity) }]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { cert: `${pemOf(certificate)}${authority.cert}`, serial, expiresAt };
}

/** The key of a request that was signed with it. */
async function keyOf(request: string) {
  if (request.length > REQUEST_BYTES) throw new BadCertificateRequest('the request is too long');
  const { x509 } = await loadX509();
  try {
    const read = new x509.Pkcs10CertificateRequest(request);
    const { name, namedCurve } = read.publicKey.algorithm as { name: string; namedCurve?: string };
    if (name !== ALGORITHM.name || namedCurve !== ALGORITHM.namedCurve) {
      throw new BadCertificateRequest(`a key must be of ${ALGORITHM.namedCurve}`);
    }
    if (await read.verify(webcrypto)) return read.publicKey;
  } catch (cause) {
    if (cause instanceof BadCertificateRequest) throw cause;
    throw new BadCertificateRequest('that is no request for a certificate', { cause });
  }
  throw new BadCertificateRequest('the request is not signed with its own key');
}
