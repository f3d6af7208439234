import { createClient, createRouterTransport } from '@connectrpc/connect';
import { volumesProto } from '@islet/contracts';
import { fixedNodes, type NodeDiscovery, type NodeLink } from '../src/index.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { SimulatedTemplateManager } from './simulated-template-manager.ts';

/** The link to a simulated node, which neither builds nor keeps volumes if it is not said how. */
export function simulatedLink(node: SimulatedNode, over: Partial<NodeLink> = {}): NodeLink {
  return {
    sandboxes: node.client(),
    templates: new SimulatedTemplateManager().client(),
    volumes: createClient(
      volumesProto.Volumes,
      createRouterTransport(({ service }) => service(volumesProto.Volumes, {})),
    ),
    ...over,
  };
}

/** One node and no other. */
export function onlyNode(node: SimulatedNode, over: Partial<NodeLink> = {}): NodeDiscovery {
  return fixedNodes([{ id: node.id, labels: {}, link: simulatedLink(node, over) }]);
}
