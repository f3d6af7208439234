import { create } from '@bufbuild/protobuf';
import {
  autoPauseMemoryAlone,
  autoPauseMemoryWithAutoResume,
  envdAccessToken,
  newSandboxId,
  orchestratorProto,
  privateWithoutSecure,
  type Sandbox,
  templateCpuBeyondLimit,
  templateMemoryBeyondLimit,
  timeoutTooLong,
  timeoutZero,
  trafficAccessToken,
} from '@islet/contracts';
import type { Team } from '@islet/db';
import { annotate } from '@islet/telemetry';
import type { Static } from 'typebox';
import type { ApiContext } from '../context.ts';
import { STARTED } from '../figures.ts';
import type { ResolvedTemplate } from '../templates/resolver.ts';
import { type ResolvedMount, resolveMounts } from '../volumes/mounts.ts';
import { checkEgressProxy } from './egress-proxy.ts';
import { parseEgress, parseIngress } from './network-rules.ts';
import { giveBackPlace, takePlace } from './places.ts';
import type { NewSandbox } from './shapes.ts';
import { startPlaced } from './start.ts';
import { parseWorkloadTokens } from './workload-tokens.ts';

export type CreateRequest = Static<typeof NewSandbox>;

const HOUR_MS = 3_600_000;
/** A sandbox that traffic wakes lives at least so long. */
const MIN_RESUME_MS = 300_000;

/** @throws IsletError 400 if a new life would be longer than the tier's. */
export function assertTimeoutAllowed(timeoutSeconds: number, team: Team): void {
  const { maxLengthHours } = team.limits;
  if (timeoutSeconds * 1000 > maxLengthHours * HOUR_MS) {
    throw timeoutTooLong(maxLengthHours);
  }
}

/** Checks what needs no look at the template. */
function checkRequest(request: CreateRequest, team: Team): void {
  if (request.timeout === 0) throw timeoutZero();
  assertTimeoutAllowed(request.timeout, team);
  if (!request.autoPauseMemory && !request.autoPause) {
    throw autoPauseMemoryAlone();
  }
  if (!request.autoPauseMemory && request.autoResume?.enabled) {
    throw autoPauseMemoryWithAutoResume();
  }
  if (request.network?.allowPublicTraffic === false && !request.secure) {
    throw privateWithoutSecure();
  }
}

/** A template built under other limits may need more than the team has now. */
function checkSize({ build }: ResolvedTemplate, { limits }: Team): void {
  if (build.cpuCount > limits.maxVcpu) {
    throw templateCpuBeyondLimit(limits.maxVcpu, build.cpuCount);
  }
  if (build.memoryMb > limits.maxRamMb) {
    throw templateMemoryBeyondLimit(limits.maxRamMb, build.memoryMb);
  }
}

function configOf(
  context: ApiContext,
  team: Team,
  request: CreateRequest,
  { templateId, alias, build }: ResolvedTemplate,
  volumeMounts: ResolvedMount[],
): orchestratorProto.SandboxConfig {
  const sandboxId = newSandboxId();
  const ingress = parseIngress(request.network);
  const maxLengthMs = team.limits.maxLengthHours * HOUR_MS;
  return create(orchestratorProto.SandboxConfigSchema, {
    sandboxId,
    teamId: team.id,
    templateId,
    buildId: build.id,
    alias,
    envdVersion: build.envdVersion ?? '',
    cpuCount: build.cpuCount,
    memoryMb: build.memoryMb,
    diskSizeMb: build.diskSizeMb ?? 0,
    metadata: request.metadata ?? {},
    envVars: request.envVars ?? {},
    ...(request.secure && { envdAccessToken: envdAccessToken(context.tokenSeed, sandboxId) }),
    ...(!ingress.allowPublicTraffic && {
      trafficAccessToken: trafficAccessToken(context.tokenSeed, sandboxId),
    }),
    autoPause: request.autoPause,
    autoPauseMemory: request.autoPauseMemory,
    autoResume: request.autoResume?.enabled ?? false,
    egress: parseEgress({ ...request.network, ...pickInternetAccess(request) }, build.envdVersion ?? ''),
    ingress,
    resumeTimeoutMs: Math.min(Math.max(request.timeout * 1000, MIN_RESUME_MS), maxLengthMs),
    maxLengthMs,
    eventsTtlDays: team.limits.eventsTtlDays,
    volumeMounts,
    defaultUser: build.defaultUser ?? '',
    defaultWorkdir: build.defaultWorkdir ?? '',
  });
}

function pickInternetAccess(request: CreateRequest): { allow_internet_access?: boolean } {
  const allowed = request.allow_internet_access;
  return allowed === undefined ? {} : { allow_internet_access: allowed };
}

/** Starts a sandbox for a team; when this returns it serves, and every read of the API shows it. */
export async function createSandbox(
  context: ApiContext,
  team: Team,
  request: CreateRequest,
): Promise<Sandbox> {
  checkRequest(request, team);
  const workloadTokens = parseWorkloadTokens(request.iam?.tokens);
  const template = await context.templates.resolve(team, request.templateID);
  checkSize(template, team);
  const { mounts, nodeId } = await resolveMounts(context, team, request.volumeMounts ?? []);
  const config = configOf(context, team, request, template, mounts);
  config.workloadTokens = workloadTokens.map((token) => create(orchestratorProto.WorkloadTokenSchema, token));
  await checkEgressProxy(config.egress?.proxy);
  const { sandboxId } = config;
  annotate({ 'sandbox.id': sandboxId, 'template.id': config.templateId });
  await using _place = request.autoPause ? await context.paused.promise(team, [sandboxId]) : undefined;
  await takePlace(context.reservations, team, sandboxId);
  try {
    const sandbox = await startPlaced(context, {
      config,
      timeoutMs: request.timeout * 1000,
      madeOn: template.build.nodeId,
      pinned: nodeId,
    });
    context.spawns.add(config.templateId, new Date(context.clock.now()));
    context.usage.created(team.id);
    STARTED.add();
    return sandbox;
  } catch (error) {
    await giveBackPlace(context, { teamId: team.id, sandboxId });
    throw error;
  }
}
