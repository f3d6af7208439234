import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { DiscoveredNode } from '@islet/api';
import { createMemoryNotices } from '@islet/catalog';
import { type Certificate, fingerprintOf, identityOf, newIdentity } from '@islet/certificates';
import type { Undo } from '@islet/contracts';
import { type Database, enrollMember } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { MasterKeys } from '@islet/vault';
import { type ApiCluster, openApiCluster } from '../cluster/api-cluster.ts';
import { openAuthority } from '../cluster/authority.ts';
import { memberLinks, type NodeLinks } from '../cluster/links.ts';
import { type ClusterMember, openMember, ownSource } from '../cluster/member.ts';
import type { Node } from '../roles/node.ts';
import type { SharedSecrets } from '../roles/shared-secrets.ts';
import { StartRefused } from './claim.ts';

export interface OwnMembersOptions {
  dataDir: string;
  /** What the cluster calls the node of this process. */
  nodeId: string;
  /** The address of this machine for others. */
  advertise: string;
  /** Unix milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** The node and the edge of this process as members of the cluster whose authority it has. */
export interface OwnMembers extends OwnMembersOptions {
  node: ClusterMember;
  edge: ClusterMember;
  links: NodeLinks;
}

/** What it makes is added to `undo`. */
export async function openOwnMembers(options: OwnMembersOptions, undo: Undo): Promise<OwnMembers> {
  const { dataDir, nodeId, advertise, clock, logger } = options;
  const authority = await openAuthority(dataDir, new Date(clock()));
  const open = async (identity: ReturnType<typeof newIdentity>) => {
    const source = ownSource(authority, identity);
    const member = await openMember({ source, authority: authority.cert, clock, logger });
    undo.add('the care for a certificate of the cluster', async () => member[Symbol.dispose]());
    return member;
  };
  const node = await open({ role: 'node', name: nodeId, memberId: memberIdOf(authority, nodeId) });
  const edge = await open(newIdentity('edge', nodeId));
  return { ...options, node, edge, links: memberLinks(node, advertise) };
}

/** The same at each start: rows and other APIs know the node by it. */
function memberIdOf(authority: Certificate, name: string): string {
  const hex = createHash('sha256')
    .update(`${fingerprintOf(authority.cert)} node ${name}`)
    .digest('hex');
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export interface OwnClusterOptions {
  own: OwnMembers;
  /** The node of this process. */
  node: Node;
  db: Database;
  secrets: SharedSecrets;
  masterKeys: MasterKeys;
}

/**
 * The cluster as the API of this process has it: the node beside it, which it calls without a link, and those that join.
 * @throws StartRefused if another node has the name
 */
export async function openOwnCluster(
  { own, node, db, secrets, masterKeys }: OwnClusterOptions,
  undo: Undo,
): Promise<ApiCluster> {
  const { nodeId, advertise, dataDir, clock, logger } = own;
  const { client, templates, volumes, outbox, credentials, neighbours, ports } = node;
  const host = isIPv6(advertise) ? `[${advertise}]` : advertise;
  const proxyAddress = `${host}:${ports.sandboxProxy}`;
  const { memberId = '' } = identityOf(own.node.credentials().cert) ?? {};
  const peer = { url: `https://${host}:${ports.orchestrator}`, name: nodeId, memberId };
  const link = { sandboxes: client, templates, volumes, outbox, credentials, neighbours, proxyAddress, peer };
  const enrolled = await enrollMember(db, {
    ...{ id: memberId, role: 'node', name: nodeId, joinedAt: new Date(clock()), labels: {} },
    ...{ serial: '', expiresAt: new Date(clock()) },
    at: {
      ...{ address: advertise, sandboxProxyPort: ports.sandboxProxy },
      ...{ orchestratorPort: ports.orchestrator, templateManagerPort: ports.templateManager },
    },
  });
  if (!enrolled) {
    throw new StartRefused(
      `the cluster has another node that is called ${nodeId}: write another name into ${dataDir}/node-id, if nothing that is ` +
        'kept here needs this one, or remove that node',
    );
  }
  const discovered: DiscoveredNode = { id: nodeId, labels: {}, link };
  return openApiCluster(
    {
      dataDir,
      db,
      notices: createMemoryNotices(),
      secrets,
      masterKeys,
      clock,
      logger,
      ownNodes: new Map([[memberId, discovered]]),
    },
    undo,
  );
}
