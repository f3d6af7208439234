import type { Client } from '@connectrpc/connect';
import type { orchestratorProto, templateProto, volumesProto } from '@islet/contracts';

export type NodeClient = Client<typeof orchestratorProto.Orchestrator>;

export type TemplateManagerClient = Client<typeof templateProto.TemplateManager>;

export type VolumesClient = Client<typeof volumesProto.Volumes>;

/** The ways to the services of one node. */
export interface NodeLink {
  sandboxes: NodeClient;
  templates: TemplateManagerClient;
  volumes: VolumesClient;
  /** `host:port` of the node's proxy. Absent: the edge is on the node's machine, and reaches its sandboxes itself. */
  proxyAddress?: string;
  /** How often the node is to say that it lives, ms: after three silences it counts as gone. Absent: as it likes. */
  heartbeatMs?: number;
}
