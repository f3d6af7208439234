import { randomUUID } from 'node:crypto';
import {
  assertWithin,
  invalidVolumeId,
  invalidVolumeName,
  isUuid,
  volumeNameTaken,
  volumeNotFound,
  volumesNotEnabled,
} from '@islet/contracts';
import {
  createVolume,
  deleteVolume,
  findVolume,
  listVolumes,
  type Team,
  type TeamLimits,
  type Use,
  type Volume,
  volumeUse,
  whileCounted,
} from '@islet/db';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { access, callingTeam } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { ErrorShape, NoContent } from '../sandboxes/shapes.ts';
import { NewVolume, VOLUME_NAME, VolumeAndToken, VolumeParams, VolumeShape } from './shapes.ts';

const errors = { '4xx': ErrorShape, '5xx': ErrorShape };

/** Making, finding and deleting volumes. */
export function addVolumeRoutes(app: ApiApp, context: ApiContext): void {
  const { db } = context;

  const own = async (request: FastifyRequest<{ Params: { volumeID: string } }>): Promise<Volume> => {
    const { volumeID } = request.params;
    if (!isUuid(volumeID)) throw invalidVolumeId();
    const volume = await findVolume(db, callingTeam(request).id, volumeID.toLowerCase());
    if (!volume) throw volumeNotFound();
    return volume;
  };

  app.get(
    '/volumes',
    {
      config: { access: access.teamRead },
      schema: { response: { 200: Type.Array(VolumeShape), ...errors } },
    },
    async (request) => {
      enabled(context);
      const found = await listVolumes(db, callingTeam(request).id);
      return found.map(({ id, name }) => ({ volumeID: id, name }));
    },
  );

  app.post(
    '/volumes',
    {
      config: { access: access.team },
      schema: { body: NewVolume, response: { 201: VolumeAndToken, ...errors } },
    },
    async (request, reply) => {
      const sizeMb = enabled(context);
      const { name } = request.body;
      if (!VOLUME_NAME.test(name)) throw invalidVolumeName();
      const volume = await makeVolume(context, sizeMb, callingTeam(request), name);
      return reply.code(201).send(await withToken(context, volume));
    },
  );

  app.get(
    '/volumes/:volumeID',
    {
      config: { access: access.teamRead },
      schema: { params: VolumeParams, response: { 200: VolumeAndToken, ...errors } },
    },
    async (request) => {
      enabled(context);
      return withToken(context, await own(request));
    },
  );

  app.delete(
    '/volumes/:volumeID',
    {
      config: { access: access.teamRead },
      schema: { params: VolumeParams, response: { 204: NoContent, ...errors } },
    },
    async (request, reply) => {
      enabled(context);
      const { id, nodeId } = await own(request);
      // The content first: a volume without its row could not be deleted by anybody.
      await context.nodes
        .recorded(nodeId)
        .call(NODE_CALL_TIMEOUT_MS, ({ volumes }, options) =>
          volumes.deleteVolume({ volumeId: id }, options),
        );
      await deleteVolume(db, id);
      return reply.code(204).send();
    },
  );
}

/** Most that a new one may hold, MiB. @throws IsletError 403 if the installation has no volumes */
function enabled({ volumeSizeMb }: ApiContext): number {
  if (volumeSizeMb === undefined) throw volumesNotEnabled();
  return volumeSizeMb;
}

async function makeVolume(
  { db, nodes }: ApiContext,
  sizeMb: number,
  team: Team,
  name: string,
): Promise<Volume> {
  const node = nodes.best({ cpuCount: 0, memoryMb: 0 });
  const volume = await whileCounted(db, team.id, async (tx) => {
    const row = await createVolume(tx, { id: randomUUID(), teamId: team.id, name, sizeMb, nodeId: node.id });
    // Counted with it: a name that is taken needs no room.
    if (row) assertVolumesFit(await volumeUse(tx, team.id), sizeMb, team.limits);
    return row;
  });
  if (!volume) throw volumeNameTaken(name);
  try {
    await node.call(NODE_CALL_TIMEOUT_MS, ({ volumes }, options) =>
      volumes.createVolume({ volumeId: volume.id, sizeMb }, options),
    );
  } catch (error) {
    await deleteVolume(db, volume.id);
    throw error;
  }
  return volume;
}

/** @param sizeMb of the new one, which is counted in */
function assertVolumesFit({ count, megabytes }: Use, sizeMb: number, limits: TeamLimits): void {
  const what = 'volumes';
  const remedy = 'delete volumes that are not needed (DELETE /volumes/{volumeID})';
  const pieces = { used: count - 1, wanted: 1, most: limits.maxVolumes, flag: '--volumes' };
  assertWithin({ what, remedy, ...pieces });
  const size = { used: megabytes - sizeMb, wanted: sizeMb, most: limits.maxVolumeMb, flag: '--volumes-mb' };
  assertWithin({ what, remedy, unit: 'MiB', ...size });
}

async function withToken(
  { domain, volumeTokens }: ApiContext,
  { id, teamId, name }: Volume,
): Promise<Static<typeof VolumeAndToken>> {
  const token = await volumeTokens.sign({ teamId, volumeId: id });
  return { volumeID: id, name, token, ...(domain !== null && { domain }) };
}
