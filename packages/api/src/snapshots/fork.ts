import { clone } from '@bufbuild/protobuf';
import {
  envdAccessToken,
  IsletError,
  newSandboxId,
  orchestratorProto,
  receivedError,
  type Sandbox,
  sandboxEnded,
  timeoutZero,
  tooManyForks,
  trafficAccessToken,
} from '@islet/contracts';
import type { Team } from '@islet/db';
import type { ApiContext } from '../context.ts';
import { assertTimeoutAllowed } from '../sandboxes/create.ts';
import { giveBackPlace, takePlace } from '../sandboxes/places.ts';
import { assertRunning } from './snapshot.ts';

type SandboxConfig = orchestratorProto.SandboxConfig;

/** A fork's sandboxes start one after the other if the node is small. */
const FORK_TIMEOUT_MS = 68_000;
const HOUR_MS = 3_600_000;

/** What became of one sandbox of a fork. */
export type ForkResult = { sandbox: Sandbox } | { error: IsletError };

/**
 * Starts `count` sandboxes that go on from where a running one is; it goes on too, and keeps its id and its time.
 * @throws IsletError 400 more than the team may have, 403 they would be paused by themselves and there is no room for
 * it, 404, 409 not running, 503 it cannot be saved now
 */
export async function forkSandbox(
  context: ApiContext,
  team: Team,
  source: Sandbox,
  { count, timeout }: { count: number; timeout: number },
): Promise<ForkResult[]> {
  if (timeout === 0) throw timeoutZero();
  assertTimeoutAllowed(timeout, team);
  const { concurrentInstances } = team.limits;
  if (count >= concurrentInstances) {
    throw tooManyForks(concurrentInstances);
  }
  assertRunning(source, 'forked');
  const ids = Array.from({ length: count }, newSandboxId);
  await using _places = source.config.autoPause ? await context.paused.promise(team, ids) : undefined;
  const admitted = await Promise.all(ids.map((id) => admit(context, team, source.config, id)));
  const configs = admitted.flatMap((each) => (each instanceof IsletError ? [] : each));
  try {
    const started = await start(context, source, configs, timeout * 1000);
    return admitted.map((each) => {
      if (each instanceof IsletError) return { error: each };
      return started.get(each.sandboxId) ?? { error: sandboxEnded() };
    });
  } catch (error) {
    await Promise.all(configs.map((config) => giveBackPlace(context, config)));
    throw error;
  }
}

/** A fork's own config, with a slot of its team's; the error if there is none left. */
async function admit(
  context: ApiContext,
  team: Team,
  source: SandboxConfig,
  sandboxId: string,
): Promise<SandboxConfig | IsletError> {
  const config = clone(orchestratorProto.SandboxConfigSchema, source);
  try {
    await takePlace(context.reservations, team, sandboxId);
  } catch (error) {
    if (error instanceof IsletError) return error;
    throw error;
  }
  config.sandboxId = sandboxId;
  config.maxLengthMs = team.limits.maxLengthHours * HOUR_MS;
  config.eventsTtlDays = team.limits.eventsTtlDays;
  if (config.envdAccessToken !== undefined) {
    config.envdAccessToken = envdAccessToken(context.tokenSeed, sandboxId);
  }
  if (config.trafficAccessToken !== undefined) {
    config.trafficAccessToken = trafficAccessToken(context.tokenSeed, sandboxId);
  }
  return config;
}

async function start(
  context: ApiContext,
  source: Sandbox,
  configs: SandboxConfig[],
  timeoutMs: number,
): Promise<Map<string, ForkResult>> {
  const { nodes, spawns, usage, clock } = context;
  const results = new Map<string, ForkResult>();
  if (configs.length === 0) return results;
  const { sandboxId } = source.config;
  // From where it is: its memory is on its node.
  const node = nodes.of(source);
  const { outcomes } = await node.call(FORK_TIMEOUT_MS, ({ sandboxes }, options) =>
    sandboxes.forkSandbox({ sandboxId, configs, timeoutMs }, options),
  );
  for (const [index, config] of configs.entries()) {
    const outcome = outcomes[index]?.outcome;
    const sandbox = outcome?.case === 'sandbox' && (await node.sandboxes.admit(outcome.value));
    if (sandbox) {
      results.set(config.sandboxId, { sandbox });
      spawns.add(config.templateId, new Date(clock.now()));
      usage.created(config.teamId);
      continue;
    }
    await giveBackPlace(context, config);
    const error = outcome?.case === 'error' ? receivedError(outcome.value) : sandboxEnded();
    results.set(config.sandboxId, { error });
  }
  return results;
}
