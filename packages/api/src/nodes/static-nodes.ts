import { createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  credentialsProto,
  nodeProto,
  orchestratorProto,
  outboxProto,
  templateProto,
  volumesProto,
} from '@islet/contracts';
import { traceCalls } from '@islet/telemetry';
import { type DiscoveredNode, fixedNodes, type NodeDiscovery } from './discovery.ts';
import type { NodeLink, PeerAddress } from './link.ts';

/** A node at addresses that an operator wrote down. */
export interface StaticNode {
  id: string;
  labels?: Readonly<Record<string, string>>;
  /** `http://host:5008` */
  orchestratorUrl: string;
  /** `http://host:5009` */
  templateManagerUrl: string;
  /** Of its sandbox proxy, `host:5007`. */
  proxyAddress: string;
  /** What its services ask their callers for. */
  token: string;
}

/** A node that was silent for three of them, ms, counts as gone. */
const HEARTBEAT_MS = 3_000;

/** A list of nodes, each called at its addresses. */
export function staticNodes(nodes: readonly StaticNode[]): NodeDiscovery {
  return fixedNodes(nodes.map(toDiscovered));
}

/** Tells of all nodes, within the call and whenever one comes, goes or changes. Gives back the way to end it. */
export interface NodeList {
  watch(listener: (nodes: readonly StaticNode[]) => void): () => void;
}

/** A list of nodes that changes, each called at its addresses. */
export function listedNodes(list: NodeList): NodeDiscovery {
  return {
    watch(listener) {
      let known = new Map<string, DiscoveredNode>();
      return list.watch((nodes) => {
        known = new Map(
          nodes.map((node) => {
            const key = JSON.stringify(node);
            return [key, known.get(key) ?? toDiscovered(node)];
          }),
        );
        listener([...known.values()]);
      });
    },
  };
}

function toDiscovered({ id, labels = {}, token, proxyAddress, ...urls }: StaticNode): DiscoveredNode {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set('Authorization', `Bearer ${token}`);
    return next(request);
  };
  const to = (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [traceCalls, withToken] });
  const [orchestrator, templateManager] = [to(urls.orchestratorUrl), to(urls.templateManagerUrl)];
  const peer = { url: urls.orchestratorUrl, name: id };
  return { id, labels, link: linkOver({ orchestrator, templateManager, proxyAddress, peer }) };
}

/** The ways to a node on another machine. */
export interface NodeTransports {
  orchestrator: Transport;
  templateManager: Transport;
  /** Of its sandbox proxy, `host:port`. */
  proxyAddress: string;
  /** For other nodes. */
  peer: PeerAddress;
}

export function linkOver({ orchestrator, templateManager, proxyAddress, peer }: NodeTransports): NodeLink {
  return {
    sandboxes: createClient(orchestratorProto.Orchestrator, orchestrator),
    volumes: createClient(volumesProto.Volumes, orchestrator),
    outbox: createClient(outboxProto.Outbox, orchestrator),
    credentials: createClient(credentialsProto.Credentials, orchestrator),
    shipped: createClient(nodeProto.ShippedTemplates, orchestrator),
    templates: createClient(templateProto.TemplateManager, templateManager),
    ...{ proxyAddress, peer },
    heartbeatMs: HEARTBEAT_MS,
  };
}
