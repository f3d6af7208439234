import {
  assertWithin,
  newTemplateId,
  orchestratorProto,
  type Sandbox,
  sandboxBusy,
  sandboxNotFound,
  sandboxPaused,
} from '@islet/contracts';
import {
  beginSnapshot,
  DEFAULT_TAG,
  dropSnapshot,
  finishSnapshot,
  type NewSnapshot,
  snapshotUse,
  type Team,
  type TeamLimits,
  type Use,
  whileCounted,
} from '@islet/db';
import type { ApiContext } from '../context.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { isPaused } from '../sandboxes/live.ts';
import { assertOwnNamespace } from '../templates/read-routes.ts';
import { parseTemplateReference } from '../templates/reference.ts';

const { SandboxState } = orchestratorProto;

/** Writing a sandbox's memory takes as long as its disk needs. */
const SNAPSHOT_TIMEOUT_MS = 65_000;

/** A snapshot by the names that clients use. */
export interface SnapshotNames {
  snapshotID: string;
  names: string[];
}

/** @throws IsletError 404 if it is on its way out, 409 if it is paused or under another operation. */
export function assertRunning(sandbox: Sandbox, deed: string): void {
  const { sandboxId } = sandbox.config;
  if (sandbox.state === SandboxState.KILLING) throw sandboxNotFound(sandboxId);
  if (sandbox.state === SandboxState.SNAPSHOTTING) throw sandboxBusy(sandboxId, 'snapshotted');
  if (isPaused(sandbox)) {
    throw sandboxPaused(sandboxId, deed);
  }
}

/** Of size counts what is there: how large the next one gets is known when it is taken. */
function assertSnapshotFits({ count, megabytes }: Use, { maxSnapshots, maxSnapshotMb }: TeamLimits): void {
  const common = {
    what: 'snapshots',
    remedy: 'delete snapshots that are not needed (Sandbox.deleteSnapshot, DELETE /templates/{id})',
  };
  assertWithin({ ...common, used: count, wanted: 1, most: maxSnapshots, flag: '--snapshots' });
  const size = {
    used: megabytes,
    wanted: 1,
    most: maxSnapshotMb,
    unit: 'MiB',
    flag: '--snapshots-mb',
  } as const;
  assertWithin({ ...common, ...size });
}

/**
 * Takes a snapshot of a running sandbox: a build of the template `name`, or of one without a name.
 * @throws IsletError 400 no name, 403 the team's quota is used up, 404, 409 not running, 5xx the node could not take it
 */
export async function takeSnapshot(
  context: ApiContext,
  team: Team,
  sandbox: Sandbox,
  name: string | undefined,
): Promise<SnapshotNames> {
  const { db, logger, nodes, templates } = context;
  const reference = name === undefined ? undefined : parseTemplateReference(name, 'Invalid snapshot name');
  assertOwnNamespace(reference?.namespace, team);
  assertRunning(sandbox, 'snapshotted');
  const node = nodes.of(sandbox);
  const { config } = sandbox;
  const { sandboxId } = config;
  const tag = reference?.tag ?? DEFAULT_TAG;
  const buildId = crypto.randomUUID();
  const snapshot: NewSnapshot = {
    templateId: newTemplateId(),
    buildId,
    teamId: team.id,
    sandboxId,
    nodeId: node.id,
    name: reference && { alias: reference.name, namespace: team.slug },
    tag,
    cpuCount: config.cpuCount,
    memoryMb: config.memoryMb,
    diskSizeMb: config.diskSizeMb,
    envdVersion: config.envdVersion,
    defaultUser: config.defaultUser,
    defaultWorkdir: config.defaultWorkdir,
  };
  const templateId = await whileCounted(db, team.id, async (tx) => {
    assertSnapshotFits(await snapshotUse(tx, team.id), team.limits);
    return beginSnapshot(tx, snapshot);
  });
  try {
    const answer = await node.call(SNAPSHOT_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.snapshotSandbox({ sandboxId, templateId, buildId }, options),
    );
    await node.sandboxes.admit(answer.sandbox);
    await finishSnapshot(db, buildId, answer.build?.snapshotBytes);
  } catch (error) {
    await dropSnapshot(db, buildId);
    // The node may have taken it, and its answer got lost.
    await node
      .call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) => sandboxes.deleteBuild({ buildId }, options))
      .catch((reason: unknown) => {
        logger.warn({ err: reason, buildId }, 'a snapshot that failed may be left on its node');
      });
    throw error;
  }
  nodes.built(buildId, node);
  // One without a name means nothing to anybody yet.
  if (reference) await templates.changed();
  else templates.clear();
  const names = reference ? [`${team.slug}/${reference.name}`] : [];
  return { snapshotID: `${names[0] ?? templateId}:${tag}`, names };
}
