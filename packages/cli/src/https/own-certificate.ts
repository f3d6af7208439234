import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import {
  CERTIFICATE_LIFE_MS,
  type Certificate,
  issueCertificate,
  makeAuthority,
  permits,
  servedNames,
} from '@islet/certificates';
import { openSecrets } from '../host/secrets.ts';
import { type CertificateSource, isPair } from './certificate-source.ts';
import { keepPair, readAuthority, readPair } from './pair-file.ts';

/** One that has less of its life left is followed by another: a machine may be off for half a week. */
const LEAST_LEFT_MS = CERTIFICATE_LIFE_MS / 2;
/** Who trusts an authority has to do it again for the next: there is time to say so. */
const LEAST_LEFT_OF_AUTHORITY_MS = 60 * 24 * 60 * 60 * 1000;

export interface OwnCertificateOptions {
  dataDir: string;
  /** Name that sandboxes are reached under, without a port. */
  domain: string;
  /** Whose the authority is, for people. */
  holder: string;
  /** Called when a new authority follows one that was there: who trusted that has to trust this one. */
  onReplaced: () => void;
}

/** Certificates that an authority of the installation's own signs, and what others need to trust it. */
export interface OwnCertificate extends CertificateSource {
  /** The authority's certificate, PEM, as of the last `at`. @throws TypeError before the first. */
  authority(): string;
}

/**
 * Makes the authority at the first question. Its key and that of the certificate are secrets of the data directory.
 * An authority that may not sign for `domain`, or ends soon, is followed by a new one.
 */
export function ownCertificate(options: OwnCertificateOptions): OwnCertificate {
  const { dataDir, domain, holder } = options;
  let authority: Certificate | undefined;
  let known: Certificate | undefined;
  return {
    authority() {
      if (!authority) throw new TypeError('there is no authority before a certificate was asked for');
      return authority.cert;
    },
    async at(now) {
      if (authority && known && serves(known, authority, domain, now)) return known;
      const dir = await openSecrets(dataDir);
      const [authorityPath, path] = [join(dir, 'authority'), join(dir, 'certificate')];
      const kept = await readAuthority(authorityPath);
      const last = await readPair(path);
      if (kept && last && serves(last, kept, domain, now)) {
        authority = kept;
        known = last;
        return last;
      }
      const lasts = kept && leftOf(kept, now) > LEAST_LEFT_OF_AUTHORITY_MS;
      authority = lasts && (await permits(kept, domain)) ? kept : await makeAuthority(domain, holder, now);
      if (authority !== kept) await keepPair(authorityPath, authority);
      if (kept && authority !== kept) options.onReplaced();
      known = await issueCertificate(authority, domain, now);
      await keepPair(path, known);
      return known;
    },
  };
}

function serves(pair: Certificate, authority: Certificate, domain: string, now: Date): boolean {
  if (!isPair(pair)) return false;
  const [certificate, issuer] = [new X509Certificate(pair.cert), new X509Certificate(authority.cert)];
  const covered = new Set((certificate.subjectAltName ?? '').split(', '));
  return (
    Date.parse(certificate.validFrom) <= now.getTime() &&
    leftOf(pair, now) > LEAST_LEFT_MS &&
    leftOf(authority, now) > LEAST_LEFT_OF_AUTHORITY_MS &&
    servedNames(domain).dns.every((name) => covered.has(`DNS:${name}`)) &&
    certificate.verify(issuer.publicKey)
  );
}

function leftOf({ cert }: Certificate, now: Date): number {
  return Date.parse(new X509Certificate(cert).validTo) - now.getTime();
}
