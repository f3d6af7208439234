import { X509Certificate } from 'node:crypto';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { fingerprintOf, requestCertificate } from '@islet/certificates';
import { clusterProto, fromConnectError } from '@islet/contracts';
import { type ApiSecrets, readApiSecrets } from './api-secrets.ts';
import type { JoinToken } from './join-token.ts';
import { transportToMember } from './links.ts';
import type { Membership } from './membership.ts';

/** A join that was refused, or could not be; the message says what to do. */
export class JoinError extends Error {
  override readonly name = 'JoinError';
}

export interface JoinOptions {
  token: JoinToken;
  /** What others are to call this machine. */
  name: string;
  /** The address at which others reach this machine. Undefined: the one that it reaches the API from. */
  advertise: string | undefined;
  labels: Record<string, string>;
}

const CONNECT_MS = 10_000;
const CALL_MS = 30_000;
/** What a machine has become. */
export type Joined =
  | { role: 'api'; advertise: string; secrets: ApiSecrets }
  | { role: Membership['role']; advertise: string; membership: Membership };

/** Certificates that are shown behind one another. */
const LONGEST_CHAIN = 5;

/**
 * Joins the cluster of a token. The secret is sent only over TLS to an API whose certificate is of the authority that the
 * token names.
 * @throws JoinError
 */
export async function joinCluster({ token, name, advertise, labels }: JoinOptions): Promise<Joined> {
  const { authority, localAddress } = await meet(token);
  const { key, request } = await requestCertificate();
  const stranger = { authority };
  const transport = transportToMember(() => stranger, `https://${token.api}`, { role: 'api' });
  const { given } = await createClient(clusterProto.Membership, transport)
    .join({ secret: token.secret, name, certificateRequest: request }, { timeoutMs: CALL_MS })
    .catch((cause: unknown) => {
      const { message, status } = fromConnectError(cause);
      if (status < 500) throw new JoinError(message);
      throw new JoinError(`the API at ${token.api} did not answer`, { cause });
    });
  const at = advertise ?? localAddress;
  if (token.role === 'api') {
    const secrets = given.case === 'secrets' ? readApiSecrets(given.value, token.authority) : undefined;
    if (secrets) return { role: 'api', advertise: at, secrets };
  } else if (given.case === 'certificate') {
    const { role, api } = token;
    const membership = { role, api, advertise: at, labels, authority, cert: given.value, key };
    return { role, advertise: at, membership };
  }
  throw new JoinError(
    `the API at ${token.api} gave what is not for a machine of role ${token.role}: is it of the same version? ` +
      'Make another token',
  );
}

/** Asks who is there, and says nothing: gives the authority's certificate if it is that of the token. */
async function meet({ api, authority }: JoinToken): Promise<{ authority: string; localAddress: string }> {
  const { hostname, port } = new URL(`https://${api}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  // Whom to believe is found out here: by the fingerprint alone.
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false, minVersion: 'TLSv1.3' });
  try {
    await connected(socket, api);
    const found = chainOf(socket).find((pem) => fingerprintOf(pem) === authority);
    if (found) return { authority: found, localAddress: socket.localAddress ?? '' };
  } finally {
    socket.destroy();
  }
  throw new JoinError(
    `whoever answers at ${api} is not of the cluster that made this token: the fingerprint of its authority differs. ` +
      'Nothing was sent. Make a token on the machine whose API is there',
  );
}

function connected(socket: TLSSocket, api: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause?: Error) =>
      reject(
        new JoinError(
          `no API of a cluster answers at ${api}: is it started with --advertise, and is the way open?`,
          {
            cause,
          },
        ),
      );
    socket.setTimeout(CONNECT_MS, fail);
    socket.once('error', fail);
    socket.once('secureConnect', resolve);
  });
}

function chainOf(socket: TLSSocket): string[] {
  const chain: string[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.raw && chain.length < LONGEST_CHAIN) {
    chain.push(new X509Certificate(next.raw).toString());
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}
