import { X509Certificate } from 'node:crypto';
import {
  type Certificate,
  certifyMember,
  type Identity,
  identityOf,
  type LinkCredentials,
  MEMBER_LIFE_MS,
  requestCertificate,
} from '@islet/certificates';
import type { Logger } from '@islet/telemetry';
import type { CertificateSource } from '../https/certificate-source.ts';
import { keepCertificate } from '../https/keep.ts';

/** Who this process is in its cluster. Its certificate is followed by newer ones; links that are open go on. */
export interface ClusterMember extends Disposable {
  identity: Identity;
  /** What it shows now, and whom it believes. */
  credentials(): LinkCredentials;
  /** Told of each newer certificate; gives back the way to end it. */
  follow(listener: (credentials: LinkCredentials) => void): () => void;
}

export interface MemberOptions {
  source: CertificateSource;
  /** The authority's certificate, PEM. */
  authority: string;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
  /** From one look for a newer certificate to the next, ms. */
  lookMs?: number;
}

/** @throws Error if there is no certificate of a member */
export async function openMember({ source, authority, ...keeping }: MemberOptions): Promise<ClusterMember> {
  const listeners = new Set<(credentials: LinkCredentials) => void>();
  const withAuthority = ({ cert, key }: Certificate): LinkCredentials => ({ cert, key, authority });
  let current: LinkCredentials;
  const use = (certificate: Certificate) => {
    current = withAuthority(certificate);
    for (const listener of listeners) listener(current);
  };
  const kept = await keepCertificate({ source, use, ...keeping });
  current = withAuthority(kept.first);
  const identity = identityOf(current.cert);
  if (!identity) throw new Error('the certificate is none of a member of a cluster: join again');
  return {
    identity,
    credentials: () => current,
    follow(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    [Symbol.dispose]: () => kept[Symbol.dispose](),
  };
}

/** The certificates of a part of an API's process, which has the authority's key and signs for itself. */
export function ownSource(authority: Certificate, identity: Identity): CertificateSource {
  let known: Certificate | undefined;
  return {
    async at(now) {
      if (known && !isHalfOver(known.cert, now)) return known;
      const { key, request } = await requestCertificate();
      const { cert } = await certifyMember(authority, request, identity, now);
      known = { cert, key };
      return known;
    },
  };
}

/** Whether it is time for the next one. */
export function isHalfOver(cert: string, now: Date): boolean {
  return Date.parse(new X509Certificate(cert).validTo) - now.getTime() < MEMBER_LIFE_MS / 2;
}
