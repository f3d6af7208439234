import { createClient, type Transport } from '@connectrpc/connect';
import type { Identity } from '@islet/certificates';
import { nodeProto } from '@islet/contracts';
import type { Member } from '@islet/db';
import type { Members } from '../members/members.ts';
import type { DiscoveredNode, NodeDiscovery } from './discovery.ts';
import { linkOver } from './static-nodes.ts';

/** The way to a member's service, which is refused to anybody else who answers there. */
export type TransportTo = (baseUrl: string, expected: Identity) => Transport;

/**
 * The nodes that have joined the cluster, and said where they are.
 * @param own those of this process, by the member that each is
 */
export function joinedNodes(
  members: Pick<Members, 'watch'>,
  transportTo: TransportTo,
  own: ReadonlyMap<string, DiscoveredNode> = new Map(),
): NodeDiscovery {
  return {
    watch(listener) {
      /** By all that makes one another node than before. */
      let known = new Map<string, DiscoveredNode>();
      let told: string | undefined;
      return members.watch((all) => {
        const nodes = all.filter(({ role, at }) => role === 'node' && at);
        const next = new Map(
          nodes.map((member) => {
            const key = keyOf(member);
            return [key, own.get(member.id) ?? known.get(key) ?? toDiscovered(member, transportTo)] as const;
          }),
        );
        known = next;
        const keys = [...next.keys()].join('\n');
        if (keys === told) return;
        told = keys;
        listener([...next.values()]);
      });
    },
  };
}

function keyOf({ id, at, labels }: Member): string {
  return JSON.stringify([id, at, labels]);
}

function toDiscovered({ id, name, at, labels }: Member, transportTo: TransportTo): DiscoveredNode {
  if (!at) throw new TypeError(`node ${name} has not said where it is`);
  const host = at.address.includes(':') ? `[${at.address}]` : at.address;
  const urlOf = (port: number) => `https://${host}:${port}`;
  const to = (port: number) => transportTo(urlOf(port), { role: 'node', name, memberId: id });
  const orchestrator = to(at.orchestratorPort);
  return {
    id: name,
    labels,
    link: {
      ...linkOver({
        ...{ orchestrator, templateManager: to(at.templateManagerPort) },
        proxyAddress: `${host}:${at.sandboxProxyPort}`,
        peer: { url: urlOf(at.orchestratorPort), name, memberId: id },
      }),
      neighbours: createClient(nodeProto.Neighbours, orchestrator),
    },
  };
}
