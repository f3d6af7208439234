import type { Client } from '@connectrpc/connect';
import type { CatalogEntry } from '@islet/catalog';
import type { orchestratorProto, templateProto, volumesProto } from '@islet/contracts';

export type NodeClient = Client<typeof orchestratorProto.Orchestrator>;

export type TemplateManagerClient = Client<typeof templateProto.TemplateManager>;

export type VolumesClient = Client<typeof volumesProto.Volumes>;

/** The ways to the services of one node. */
export interface NodeLink {
  sandboxes: NodeClient;
  templates: TemplateManagerClient;
  volumes: VolumesClient;
  /** How the edge reaches the node's sandboxes. */
  route: CatalogEntry['route'];
  /** How often the node is to say that it lives, ms: after three silences it counts as gone. Absent: as it likes. */
  heartbeatMs?: number;
}
