import { isIP } from 'node:net';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  BadCertificateRequest,
  type Certificate,
  certifyMember,
  type Identity,
  isMemberName,
  type MemberCertificate,
  newIdentity,
} from '@islet/certificates';
import {
  announcementInvalid,
  certificateRequestInvalid,
  type clusterProto,
  IsletError,
  internalError,
  joinTokenExpired,
  joinTokenUnknown,
  joinTokenUsed,
  memberNameInvalid,
  memberNameTaken,
  memberRemoved,
  toConnectError,
} from '@islet/contracts';
import { announceMember, type Database, joinWithToken, renewMember } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Members } from './members.ts';

export interface MembershipOptions {
  db: Database;
  /** Of the cluster; signs for its members. */
  authority: Certificate;
  /** What another API is given. */
  secrets: () => Promise<{ tokenSeed: string; adminToken: string; masterKeys: string }>;
  members: Pick<Members, 'changed'>;
  /** Whose certificate a caller has shown. */
  peerOf: (context: HandlerContext) => Identity | undefined;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
}

type Membership = ServiceImpl<typeof clusterProto.Membership>;

/** Of a secret there are 43 characters. */
const SECRET = /^[A-Za-z0-9_-]{20,100}$/;
const LABELS = { most: 64, name: 64, value: 256 };

/** What an API answers its cluster's members, and who wants to be one. */
export function membershipService(options: MembershipOptions): Membership {
  const { db, authority, secrets, members, peerOf, clock, logger } = options;
  const certify = async (request: string, identity: Identity): Promise<MemberCertificate> => {
    try {
      return await certifyMember(authority, request, identity, new Date(clock()));
    } catch (error) {
      throw error instanceof BadCertificateRequest ? certificateRequestInvalid(error) : error;
    }
  };
  const memberIn = (context: HandlerContext): Identity => {
    const peer = peerOf(context);
    if (!peer) throw memberRemoved();
    return peer;
  };
  const answer = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof IsletError) throw toConnectError(error);
      logger.error({ err: error }, 'a question about the cluster was not answered');
      throw toConnectError(internalError(error));
    }
  };
  const apiSecrets = async () => ({
    ...{ authorityKey: authority.key, authorityCertificate: authority.cert },
    ...(await secrets()),
  });
  return {
    join: ({ secret, name, certificateRequest }) =>
      answer(async () => {
        if (!SECRET.test(secret)) throw joinTokenUnknown();
        if (!isMemberName(name)) throw memberNameInvalid();
        let certificate = '';
        const now = new Date(clock());
        const result = await joinWithToken(db, { secret, now }, async (role) => {
          const identity = newIdentity(role, name);
          const { cert, serial, expiresAt } = await certify(certificateRequest, identity);
          certificate = cert;
          return { id: identity.memberId, name, serial, expiresAt };
        });
        if (result.outcome === 'unknown') throw joinTokenUnknown();
        if (result.outcome === 'used') throw joinTokenUsed();
        if (result.outcome === 'expired') throw joinTokenExpired();
        if (result.outcome === 'name-taken') throw memberNameTaken(result.role, name);
        logger.info({ role: result.role, name }, 'a machine has joined the cluster');
        if (result.role === 'api') return { given: { case: 'secrets', value: await apiSecrets() } };
        await members.changed();
        return { given: { case: 'certificate', value: certificate } };
      }),
    renew: ({ certificateRequest }, context) =>
      answer(async () => {
        const peer = memberIn(context);
        const { cert, serial, expiresAt } = await certify(certificateRequest, peer);
        if (!(await renewMember(db, peer.memberId, { serial, expiresAt }))) throw memberRemoved();
        return { certificate: cert };
      }),
    announce: ({ $typeName: _, $unknown: __, labels, ...at }, context) =>
      answer(async () => {
        const peer = memberIn(context);
        if (peer.role !== 'node' || !isSound(at) || !areSound(labels)) throw announcementInvalid();
        if (!(await announceMember(db, peer.memberId, { at, labels }))) throw memberRemoved();
        await members.changed();
        return {};
      }),
  };
}

function isSound({ address, ...ports }: { address: string } & Record<`${string}Port`, number>): boolean {
  return isIP(address) !== 0 && Object.values(ports).every((port) => port > 0 && port <= 65_535);
}

function areSound(labels: Readonly<Record<string, string>>): boolean {
  const entries = Object.entries(labels);
  return (
    entries.length <= LABELS.most &&
    entries.every(([name, value]) => name.length <= LABELS.name && value.length <= LABELS.value)
  );
}
