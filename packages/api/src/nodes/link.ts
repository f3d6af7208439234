import type { Client } from '@connectrpc/connect';
import type {
  credentialsProto,
  nodeProto,
  orchestratorProto,
  templateProto,
  volumesProto,
} from '@islet/contracts';
import type { OutboxClient } from '@islet/sinks';

export type NodeClient = Client<typeof orchestratorProto.Orchestrator>;

export type TemplateManagerClient = Client<typeof templateProto.TemplateManager>;

export type VolumesClient = Client<typeof volumesProto.Volumes>;

/** Where a node reaches another one. */
export interface PeerAddress {
  /** Such as `https://10.0.0.3:5008`. */
  url: string;
  name: string;
  /** Absent: all parts share a token. */
  memberId?: string;
}

/** The ways to the services of one node. */
export interface NodeLink {
  sandboxes: NodeClient;
  templates: TemplateManagerClient;
  volumes: VolumesClient;
  /** What the node has noted of its sandboxes. Absent: the node itself brings it to where it is read. */
  outbox?: OutboxClient;
  /** What the node says of the templates that come with it. Absent: its own process enters them into the database. */
  shipped?: Client<typeof nodeProto.ShippedTemplates>;
  /** What the node asks for on behalf of its sandboxes. Absent: its sandboxes have no rules that need it. */
  credentials?: Client<typeof credentialsProto.Credentials>;
  /** Whom the node answers. Absent: whoever has its token. */
  neighbours?: Client<typeof nodeProto.Neighbours>;
  /** `host:port` of the node's proxy. Absent: the edge is on the node's machine, and reaches its sandboxes itself. */
  proxyAddress?: string;
  /** Where other nodes reach it, and get from it what they lack. Absent: there are none. */
  peer?: PeerAddress;
  /** How often the node is to say that it lives, ms: after three silences it counts as gone. Absent: as it likes. */
  heartbeatMs?: number;
}
