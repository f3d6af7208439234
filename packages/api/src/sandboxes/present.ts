import { CLIENT_ID, orchestratorProto, type Sandbox, sandboxNotFound } from '@islet/contracts';
import type { Static } from 'typebox';
import { isPaused } from './live.ts';
import type { ListedSandbox, SandboxDetail, SandboxShape } from './shapes.ts';
import { presentTransformRules } from './transform-rules.ts';

const { SandboxState } = orchestratorProto;

/** What clients call a state; undefined for one on its way out, which they are told is gone. */
export function publicState(sandbox: Sandbox): 'running' | 'paused' | undefined {
  if (sandbox.state === SandboxState.KILLING) return undefined;
  if (isPaused(sandbox)) return 'paused';
  const isRunning =
    sandbox.moving || sandbox.state === SandboxState.RUNNING || sandbox.state === SandboxState.SNAPSHOTTING;
  return isRunning ? 'running' : undefined;
}

/** Times are ordered and shown at whole milliseconds. */
export function startedAtMs(sandbox: Sandbox): number {
  return Math.trunc(sandbox.startedAtMs);
}

function isoTime(ms: number): string {
  return new Date(Math.trunc(ms)).toISOString();
}

function identity(config: orchestratorProto.SandboxConfig) {
  return {
    templateID: config.templateId,
    sandboxID: config.sandboxId,
    clientID: CLIENT_ID,
    envdVersion: config.envdVersion,
    ...(config.alias && { alias: config.alias }),
  };
}

/** The answer to create and connect. */
export function presentSandbox(sandbox: Sandbox, domain: string | null): Static<typeof SandboxShape> {
  const { config } = sandbox;
  return {
    ...identity(config),
    ...(config.envdAccessToken !== undefined && { envdAccessToken: config.envdAccessToken }),
    trafficAccessToken: config.trafficAccessToken ?? null,
    domain,
  };
}

/** A row of a list. */
export function presentListed(sandbox: Sandbox): Static<typeof ListedSandbox> {
  const { config } = sandbox;
  const state = publicState(sandbox);
  if (state === undefined) throw sandboxNotFound(config.sandboxId);
  return {
    ...identity(config),
    startedAt: isoTime(sandbox.startedAtMs),
    endAt: isoTime(sandbox.endAtMs),
    cpuCount: config.cpuCount,
    memoryMB: config.memoryMb,
    diskSizeMB: config.diskSizeMb,
    state,
    metadata: config.metadata,
    volumeMounts: config.volumeMounts.map(({ name, path }) => ({ name, path })),
  };
}

/** The answer to get. */
export function presentDetail(sandbox: Sandbox, domain: string | null): Static<typeof SandboxDetail> {
  const { config } = sandbox;
  const { egress, ingress } = config;
  const listed = presentListed(sandbox);
  return {
    ...listed,
    ...(config.envdAccessToken !== undefined && { envdAccessToken: config.envdAccessToken }),
    allowInternetAccess: egress?.allowInternetAccess ?? null,
    domain: listed.state === 'running' ? domain : null,
    network: {
      allowPublicTraffic: ingress?.allowPublicTraffic ?? true,
      ...(ingress?.maskRequestHost !== undefined && { maskRequestHost: ingress.maskRequestHost }),
      allowOut: egress?.allowOut ?? [],
      denyOut: egress?.denyOut ?? [],
      ...(egress && egress.domainRules.length > 0 && { rules: presentTransformRules(egress.domainRules) }),
      ...(egress?.learning && { learning: true }),
      ...(egress?.proxy && { egressProxy: presentProxy(egress.proxy) }),
    },
    lifecycle: { autoResume: config.autoResume, onTimeout: config.autoPause ? 'pause' : 'kill' },
  };
}

function presentProxy({ address, username }: orchestratorProto.EgressProxy) {
  return { address, ...(username !== undefined && { username }) };
}
