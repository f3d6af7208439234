import { constants, X509Certificate } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  type PeerCertificate,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { type Identity, identityIn, type Role } from './identity.ts';

/** What a member shows others, and whom it believes. All PEM. */
export interface LinkCredentials {
  /** Its certificate, then the authority's. */
  cert: string;
  key: string;
  authority: string;
}

/** The other end of a link is not who it has to be. */
export class WrongPeer extends Error {
  override readonly name = 'WrongPeer';
}

/** A handshake takes milliseconds; who takes longer is none of us, ms. */
const HANDSHAKE_MS = 10_000;

/** What somebody has who is no member yet: they know whom to believe. */
export type Stranger = Pick<LinkCredentials, 'authority'>;

function common({ authority, ...own }: LinkCredentials | Stranger) {
  return { ...own, ca: authority, minVersion: 'TLSv1.3' } as const;
}

/**
 * For a server that answers members alone. Connections are not resumed: each shows its certificate anew, so that none
 * outlives the end of its certificate in a ticket.
 */
export function serverOptions(credentials: LinkCredentials): TlsOptions {
  return {
    ...common(credentials),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Who the other end must be: a role, and which one of it, as far as that is known. */
export type Expected = Pick<Identity, 'role'> & Partial<Identity>;

/** What connects to members. */
export type LinkClient = (expected: Expected) => ConnectionOptions;

/** For connections to members: a name or an address says nothing of who answers there, their certificate does. */
export function linkClient(credentials: LinkCredentials | Stranger): LinkClient {
  // It takes as long as a handshake: once for all connections.
  const secureContext = createSecureContext(common(credentials));
  return (expected) => ({
    secureContext,
    rejectUnauthorized: true,
    checkServerIdentity: (_host, certificate) => mismatch(certificate, expected),
  });
}

function mismatch({ subjectaltname }: PeerCertificate, expected: Expected): Error | undefined {
  const found = identityIn(subjectaltname);
  const fits =
    found?.role === expected.role &&
    (expected.name === undefined || found.name === expected.name) &&
    (expected.memberId === undefined || found.memberId === expected.memberId);
  if (fits) return undefined;
  const wanted = [expected.role, expected.name].filter(Boolean).join(' ');
  return new WrongPeer(
    `another member of the cluster answers: ${found ? `${found.role} ${found.name}` : 'nobody known'}, not ${wanted}`,
  );
}

/** Who a certificate says that its holder is. @param cert PEM */
export function identityOf(cert: string): Identity | undefined {
  return identityIn(new X509Certificate(cert).subjectAltName);
}

/** Who is at the other end of a connection to a server of `serverOptions`; undefined: none whose role is among `roles`. */
export function peerOf(socket: TLSSocket, roles: readonly Role[]): Identity | undefined {
  if (!socket.authorized) return undefined;
  const found = identityIn(socket.getPeerCertificate().subjectaltname);
  return found && roles.includes(found.role) ? found : undefined;
}

/**
 * Who is at the other end if nothing but the time speaks against their certificate: a member that was away for long. OpenSSL
 * names one fault of several, so that what it does not name is checked here.
 */
export function lapsedPeerOf(
  socket: TLSSocket,
  authority: string,
  roles: readonly Role[],
): Identity | undefined {
  if (String(socket.authorizationError) !== 'CERT_HAS_EXPIRED') return undefined;
  const shown = socket.getPeerX509Certificate();
  const issuer = new X509Certificate(authority);
  if (!shown?.checkIssued(issuer) || !shown.verify(issuer.publicKey)) return undefined;
  const found = identityIn(shown.subjectAltName);
  return found && roles.includes(found.role) ? found : undefined;
}
