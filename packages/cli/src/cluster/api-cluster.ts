import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import {
  type DiscoveredNode,
  type edgeService,
  joinedNodes,
  Members,
  membershipService,
  type NodeDiscovery,
  refuseAtNodes,
} from '@islet/api';
import type { Notices } from '@islet/catalog';
import { type Certificate, fingerprintOf, isMemberName, newIdentity } from '@islet/certificates';
import { clusterProto, edgeProto, type Undo } from '@islet/contracts';
import type { Database } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { type MasterKeys, writeMasterKeys } from '@islet/vault';
import { locatedMembers, type NodeCatalogue } from '../consul/catalogue.ts';
import type { ClusterPlace } from '../control/administration.ts';
import type { SharedSecrets } from '../roles/shared-secrets.ts';
import { callerOf, createApiServer } from './api-server.ts';
import { openAuthority } from './authority.ts';
import { transportToMember } from './links.ts';
import { type ClusterMember, openMember, ownSource } from './member.ts';

export interface ApiClusterOptions {
  dataDir: string;
  db: Database;
  notices: Notices;
  /** What all APIs have alike. */
  secrets: SharedSecrets;
  /** Those that another API is given, as they are then. */
  masterKeys: MasterKeys;
  /** Where nodes are; undefined: where they have said themselves. */
  catalogue?: Pick<NodeCatalogue, 'watch'> | undefined;
  /** Nodes of this process, which are called without a link, by the member that each is. */
  ownNodes?: ReadonlyMap<string, DiscoveredNode>;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** The cluster as one of its APIs has it. */
export interface ApiCluster {
  authority: Certificate;
  /** Names the authority. */
  fingerprint: string;
  member: ClusterMember;
  members: Members;
  /** The nodes that have joined. */
  discovery: NodeDiscovery;
  /** What answers the members. */
  serve(service: ReturnType<typeof edgeService>): Server;
}

/** Opens the API's part of a cluster; what it makes is added to `undo`. */
export async function openApiCluster(options: ApiClusterOptions, undo: Undo): Promise<ApiCluster> {
  const { dataDir, db, notices, secrets, masterKeys, clock, logger } = options;
  const authority = await openAuthority(dataDir, new Date(clock()));
  const name = isMemberName(hostname()) ? hostname() : 'api';
  const member = await openMember({
    source: ownSource(authority, newIdentity('api', name)),
    ...{ authority: authority.cert, clock, logger },
  });
  undo.add('the care for the certificate of the cluster', async () => member[Symbol.dispose]());
  const members = await Members.open({ db, notices, logger });
  undo.add('the watch of the members', () => members[Symbol.asyncDispose]());
  const { join, renew, announce } = membershipService({
    ...{ db, authority, members, clock, logger },
    secrets: async () => ({ ...secrets, masterKeys: writeMasterKeys(await masterKeys.all()) }),
    peerOf: callerOf,
  });
  const { method } = clusterProto.Membership;
  const discovery = joinedNodes(
    options.catalogue ? locatedMembers(members, options.catalogue) : members,
    (baseUrl, expected) => transportToMember(member.credentials, baseUrl, expected),
    options.ownNodes,
  );
  const refusals = refuseAtNodes({ members, discovery, logger });
  undo.add('the telling of removed members', () => refusals[Symbol.asyncDispose]());
  return {
    ...{ authority, fingerprint: fingerprintOf(authority.cert), member, members },
    discovery,
    serve: (service) =>
      createApiServer({
        ...{ member, members },
        forStrangers: (router) => router.rpc(method.join, join),
        forLapsed: (router) => router.rpc(method.renew, renew),
        forMembers: (router) => router.rpc(method.renew, renew).rpc(method.announce, announce),
        forEdges: (router) => router.service(edgeProto.ControlPlane, service),
      }),
  };
}

/** Where machines join the cluster. @param host the address at which its API listens */
export function placeOf(
  { fingerprint, members }: Pick<ApiCluster, 'fingerprint' | 'members'>,
  host: string,
  port: number,
): ClusterPlace {
  const api = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return { api, fingerprint, membersChanged: () => members.changed() };
}
