import { isIP, isIPv6 } from 'node:net';
import type { ServiceEntry, ServiceInstance } from '@islet/consul';
import type { MemberAddress } from '@islet/db';

/** What Consul calls the parts of an Islet. */
export const SERVICES = { api: 'islet-api', edge: 'islet-edge', node: 'islet-node' } as const;

/** Keys of what a node's entry says of it. */
const META = {
  node: 'islet-node',
  sandboxProxy: 'sandbox-proxy-port',
  templateManager: 'template-manager-port',
};
const LABEL = 'label-';
const NODE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** A node as the catalogue has it. */
export interface CatalogueNode {
  id: string;
  labels: Readonly<Record<string, string>>;
  at: MemberAddress;
}

/** What a node registers. */
export function nodeEntry({ id, labels, at }: CatalogueNode): ServiceEntry {
  return {
    ...{ id: `${SERVICES.node}-${id}`, name: SERVICES.node, address: at.address, port: at.orchestratorPort },
    meta: {
      [META.node]: id,
      [META.sandboxProxy]: String(at.sandboxProxyPort),
      [META.templateManager]: String(at.templateManagerPort),
      ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [LABEL + name, value])),
    },
    check: { tcp: hostPort(at.address, at.orchestratorPort) },
  };
}

/** Undefined if the entry is of no node that says who and where it is. */
export function readNodeEntry({ address, port, meta }: ServiceInstance): CatalogueNode | undefined {
  const id = meta[META.node] ?? '';
  const [sandboxProxyPort, templateManagerPort] = [META.sandboxProxy, META.templateManager].map((key) =>
    /^[1-9]\d{0,4}$/.test(meta[key] ?? '') ? Number(meta[key]) : 0,
  ) as [number, number];
  const ports = [port, sandboxProxyPort, templateManagerPort];
  const isSound =
    NODE_ID.test(id) && isIP(address) !== 0 && ports.every((each) => each > 0 && each <= 65_535);
  if (!isSound) return undefined;
  const labels = Object.entries(meta).filter(([key]) => key.startsWith(LABEL));
  return {
    id,
    labels: Object.fromEntries(labels.map(([key, value]) => [key.slice(LABEL.length), value])),
    at: { address, orchestratorPort: port, sandboxProxyPort, templateManagerPort },
  };
}

/** An address and a port as a URL has them. */
export function hostPort(address: string, port: number): string {
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}
