import type { orchestratorProto } from '@islet/contracts';
import type { SandboxDriver } from '@islet/driver';
import { type EnvdInit, type EnvdRequest, initEnvd, waitForEnvd } from '../envd/client.ts';
import { EnvdConnection } from '../envd/connection.ts';
import type { SandboxVolumes } from './ports.ts';
import type { StartedRun } from './start.ts';
import { whileAlive } from './while-alive.ts';

const ENVD_DEADLINE_MS = 15_000;

/** Who a machine becomes. */
export interface Identity {
  /** Made when envd is asked, since it holds the time. */
  init: () => EnvdInit;
  /** What envd asks for before. */
  currentToken: string | undefined;
}

/** What it becomes is told with how long it stood still. */
export function since(
  stoppedAt: number | undefined,
  { init, ...rest }: Identity,
  now: () => number,
): Identity {
  if (stoppedAt === undefined) return { init, ...rest };
  return {
    ...rest,
    init: () => ({ ...init(), stoodStill: { from: stoppedAt, to: Math.max(stoppedAt, now()) } }),
  };
}

/** What a machine's clock may be off: the time that it is told takes a while to come. Most often the next one comes at once. */
const CLOCK_OFF_MS = 100;
const CLOCK_TRIES = 3;

/** Has a machine whose envd serves, or is about to, take in who it is. */
export async function become(
  envd: EnvdRequest,
  { init, currentToken }: Identity,
  ownClock: boolean,
): Promise<void> {
  if (!ownClock) {
    await initEnvd(envd, init, currentToken);
    return;
  }
  const connection = new EnvdConnection(envd.address);
  const request = { ...envd, connection };
  try {
    // Its first answer takes long where code is translated, and the time would be old by then.
    await waitForEnvd(request);
    for (let tries = CLOCK_TRIES; tries > 0; tries--) {
      const clockMs = await initEnvd(request, init, currentToken);
      if (clockMs !== undefined && Math.abs(Date.now() - clockMs) <= CLOCK_OFF_MS) return;
    }
  } finally {
    connection.end();
  }
}

export interface IdentifyOptions {
  /** What envd asks for before. */
  currentToken?: string | undefined;
  signal?: AbortSignal | undefined;
  connection?: EnvdConnection;
}

/** Tells a machine's envd who it is from now on. @throws EnvdSilentError, MachineEndedError */
export async function identify(
  driver: SandboxDriver,
  { address, machine }: StartedRun,
  init: EnvdInit,
  { currentToken, connection, signal }: IdentifyOptions,
): Promise<void> {
  await whileAlive(driver, machine, signal, (alive) =>
    initEnvd({ address, deadlineMs: ENVD_DEADLINE_MS, connection, signal: alive }, init, currentToken),
  );
}

/**
 * What envd is told where no sandbox is there yet: the identity that comes next is taken in faster, since envd's code and the
 * files for it were touched before.
 */
export function rehearsal(id: string, now: Date): EnvdInit {
  return { sandboxId: id, hostname: id, startId: id, timestamp: now.toISOString() };
}

/** What of the node goes into what envd is told. */
export interface InitParts {
  volumes: SandboxVolumes;
  /** By which the gateway is taken, PEM: for sandboxes whose rules it carries out. */
  egressAuthority: string;
}

/** Whether the gateway answers any requests in the place of their destinations. */
function hasRules({ egress }: orchestratorProto.SandboxConfig): boolean {
  return egress?.domainRules.some(({ rules }) => rules.some(({ transform }) => transform)) ?? false;
}

/** What envd of a new sandbox is told. */
export function firstInit(config: orchestratorProto.SandboxConfig, parts: InitParts, now: Date): EnvdInit {
  return {
    ...resumeInit(config, parts, now),
    hostname: config.sandboxId,
    // None: those of the saved sandbox, if it had any, stay.
    ...(Object.keys(config.envVars).length > 0 && { envVars: config.envVars }),
    defaultUser: config.defaultUser,
    defaultWorkdir: config.defaultWorkdir,
  };
}

/** What envd of a resumed sandbox is told: the rest it remembers. */
export function resumeInit(
  config: orchestratorProto.SandboxConfig,
  { volumes, egressAuthority }: InitParts,
  now: Date,
): EnvdInit {
  return {
    ...(hasRules(config) && { caBundle: egressAuthority }),
    sandboxId: config.sandboxId,
    templateId: config.templateId,
    accessToken: config.envdAccessToken,
    volumes: config.volumeMounts.map(({ volumeId, path }) => ({
      id: volumeId,
      path,
      target: volumes.targetOf(volumeId),
    })),
    timestamp: now.toISOString(),
  };
}
