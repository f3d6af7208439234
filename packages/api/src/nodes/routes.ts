import { create } from '@bufbuild/protobuf';
import { nodeNotFound, nodeStatusUnknown, orchestratorProto, type Sandbox } from '@islet/contracts';
import { type Static, Type } from 'typebox';
import { access } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { named } from '../http/caps.ts';
import { presentListed, publicState } from '../sandboxes/present.ts';
import { ErrorShape, ListedSandbox, NoContent } from '../sandboxes/shapes.ts';
import type { Node, NodeFacts } from './node.ts';

/** The cluster of an installation that has one. */
const LOCAL_CLUSTER = '00000000-0000-0000-0000-000000000000';

const errors = { '4xx': ErrorShape };

const Status = Type.Union([
  Type.Literal('ready'),
  Type.Literal('draining'),
  Type.Literal('connecting'),
  Type.Literal('unhealthy'),
  Type.Literal('standby'),
]);

const nodeFields = {
  id: Type.String(),
  serviceInstanceID: Type.String(),
  clusterID: Type.String(),
  status: Status,
  sandboxCount: Type.Integer(),
  sandboxStartingCount: Type.Integer(),
  createSuccesses: Type.Integer(),
  createFails: Type.Integer(),
  version: Type.String(),
  commit: Type.String(),
  machineInfo: Type.Object({
    cpuFamily: Type.String(),
    cpuModel: Type.String(),
    cpuModelName: Type.String(),
    cpuArchitecture: Type.String(),
  }),
  metrics: Type.Object({
    allocatedCPU: Type.Integer(),
    cpuCount: Type.Integer(),
    allocatedMemoryBytes: Type.Integer(),
    memoryTotalBytes: Type.Integer(),
    /** The file system that holds the node's data. */
    disks: Type.Array(
      Type.Object({
        mountPoint: Type.String(),
        device: Type.String(),
        filesystemType: Type.String(),
        usedBytes: Type.Integer(),
        totalBytes: Type.Integer(),
      }),
    ),
    /** Held by builds' snapshots and by paused sandboxes; Islet's own field. */
    snapshotBytes: Type.Integer(),
  }),
};

const NodeShape = Type.Object(nodeFields);
const NodeDetail = Type.Object({ ...nodeFields, sandboxes: Type.Array(ListedSandbox) });

/** The machines that sandboxes run on. */
export function addNodeRoutes(app: ApiApp, context: ApiContext): void {
  app.get(
    '/nodes',
    {
      config: { access: access.admin },
      schema: {
        querystring: Type.Object({ clusterID: Type.Optional(named()) }),
        response: { 200: Type.Array(NodeShape), ...errors },
      },
    },
    async () => Promise.all(context.nodes.all.map((node) => readNode(context, node))),
  );

  app.get(
    '/nodes/:nodeID',
    {
      config: { access: access.admin },
      schema: { params: Type.Object({ nodeID: Type.String() }), response: { 200: NodeDetail, ...errors } },
    },
    async (request) => {
      const node = context.nodes.find(request.params.nodeID);
      if (!node) throw nodeNotFound();
      const sandboxes = context.sandboxes
        .onNode(node.id)
        .filter((sandbox) => publicState(sandbox) !== undefined);
      return { ...(await readNode(context, node)), sandboxes: sandboxes.map(presentListed) };
    },
  );

  app.post(
    '/nodes/:nodeID',
    {
      config: { access: access.admin },
      schema: {
        params: Type.Object({ nodeID: Type.String() }),
        body: Type.Object({ status: Status, clusterID: Type.Optional(named()) }),
        response: { 204: NoContent, ...errors },
      },
    },
    async (request, reply) => {
      const { status } = request.body;
      const node = context.nodes.find(request.params.nodeID);
      if (!node) throw nodeNotFound();
      // It connects by itself.
      if (status === 'connecting') throw nodeStatusUnknown(status);
      await context.standings.set(node.id, status);
      return reply.code(204).send();
    },
  );
}

/** As it is now, or as it last was if it does not answer. */
async function readNode(context: ApiContext, node: Node): Promise<Static<typeof NodeShape>> {
  const facts = await node
    .facts()
    .catch(() => node.lastFacts ?? create(orchestratorProto.GetNodeResponseSchema));
  return presentNode(node, facts, context.sandboxes.onNode(node.id));
}

function presentNode(
  { id, status, standing }: Node,
  facts: NodeFacts,
  sandboxes: Sandbox[],
): Static<typeof NodeShape> {
  const sum = (of: (config: orchestratorProto.SandboxConfig) => number) =>
    sandboxes.reduce((total, { config }) => total + of(config), 0);
  return {
    id,
    serviceInstanceID: id,
    clusterID: LOCAL_CLUSTER,
    status: standing === 'ready' ? status : standing,
    sandboxCount: facts.sandboxCount,
    sandboxStartingCount: facts.sandboxStartingCount,
    createSuccesses: facts.createSuccesses,
    createFails: facts.createFails,
    version: facts.version,
    commit: '',
    machineInfo: {
      cpuFamily: facts.processor?.family ?? '',
      cpuModel: facts.processor?.model ?? '',
      cpuModelName: facts.processor?.modelName ?? '',
      cpuArchitecture: facts.processor?.architecture ?? '',
    },
    metrics: {
      allocatedCPU: sum((config) => config.cpuCount),
      cpuCount: facts.cpuCount,
      allocatedMemoryBytes: sum((config) => config.memoryMb * 1024 * 1024),
      memoryTotalBytes: facts.memoryTotalBytes,
      disks: facts.disk ? [presentDisk(facts.disk)] : [],
      snapshotBytes: facts.snapshotBytes,
    },
  };
}

function presentDisk({ mountPoint, device, filesystemType, usedBytes, totalBytes }: orchestratorProto.Disk) {
  return { mountPoint, device, filesystemType, usedBytes, totalBytes };
}
