import { rm } from 'node:fs/promises';
import type { orchestratorProto } from '@islet/contracts';
import type { SandboxDriver } from '@islet/driver';
import type { EgressRules } from '@islet/network';
import { type EnvdInit, type EnvdRequest, initEnvd, waitForEnvd } from './envd-client.ts';
import { EnvdConnection } from './envd-connection.ts';
import { makePlace, type Place, type Shape } from './place.ts';
import type { SandboxNetwork, SandboxVolumes } from './ports.ts';
import type { SandboxRun } from './record.ts';
import { Undo } from './undo.ts';
import { whileAlive } from './while-alive.ts';

export interface StartContext {
  driver: SandboxDriver;
  network: SandboxNetwork;
  volumes: SandboxVolumes;
  guestDirOf: (digest: string) => string;
  /** @throws IsletError 503 where it is not on this machine. */
  rootfsDirOf: (digest: string) => string;
  /** One folder a machine: what the driver writes for it. */
  machinesDir: string;
  newMachineId: () => string;
  /** Unix ms. */
  now: () => number;
}

export interface StartedRun extends SandboxRun {
  address: string;
}

/** What a machine starts from. */
export interface StartSource extends Shape {
  /** Absent: it boots. */
  snapshotDir: string | undefined;
  /** What the root file system takes of it, MiB; only asked for to boot. */
  diskUsedMb?: number | undefined;
  /** Volumes that it sees from its first instruction on: a saved sandbox goes on with files of theirs open. */
  volumeIds: readonly string[];
}

const ENVD_DEADLINE_MS = 15_000;

/** Who a machine becomes. */
export interface Identity {
  /** Made when envd is asked, since it holds the time. */
  init: () => EnvdInit;
  /** What envd asks for before. */
  currentToken: string | undefined;
}

export interface StartOptions {
  signal?: AbortSignal | undefined;
  /** Made ahead for the source's shape; whatever fails, it is freed. Absent: it is made now. */
  place?: Place | undefined;
  /** Taken in with the first request that envd answers, which a start need not wait for twice. Absent: it is nobody yet. */
  identity?: Identity;
  /** Called when the host has done its part, at the latest: from then on it waits for the machine alone. */
  onSilence?: () => void;
}

/**
 * Starts a machine; its envd serves when this returns. `egress` holds before it runs its first instruction. Whatever fails, everything made until then is freed before the error is thrown.
 */
export async function startMachine(
  context: StartContext,
  source: StartSource,
  egress: EgressRules | undefined,
  { signal, identity, place, onSilence }: StartOptions = {},
): Promise<StartedRun> {
  const { driver, network, now, volumes } = context;
  const { snapshotDir, volumeIds, diskUsedMb } = source;
  const { slot, spec, undo } = place ?? (await makePlace(context, source));
  try {
    if (egress) await network.setEgress(slot, egress);
    await volumes.attach(spec, volumeIds);
    const machine = await (snapshotDir === undefined
      ? driver.boot({ ...spec, diskUsedMb }, signal)
      : driver.restore(spec, snapshotDir, signal));
    const stoppedAt = snapshotDir === undefined ? undefined : await driver.stoppedAt?.(snapshotDir);
    const deadlineMs = snapshotDir === undefined ? driver.pace.bootMs : driver.pace.restoreMs;
    await whileAlive(driver, machine, signal, (alive) => {
      const envd = { address: slot.sandboxAddress, deadlineMs, signal: alive };
      return whileSilent(
        { afterMs: SILENT_MS, onSilence, wake: () => driver.wake?.(machine) },
        identity ? become(envd, since(stoppedAt, identity, now), driver.ownClock) : waitForEnvd(envd),
      );
    });
    return { machine, slotIndex: slot.index, address: slot.sandboxAddress };
  } catch (error) {
    throw await undo.after(error);
  }
}

/** What it becomes is told with how long it stood still. */
function since(stoppedAt: number | undefined, { init, ...rest }: Identity, now: () => number): Identity {
  if (stoppedAt === undefined) return { init, ...rest };
  return {
    ...rest,
    init: () => ({ ...init(), stoodStill: { from: stoppedAt, to: Math.max(stoppedAt, now()) } }),
  };
}

/** A machine that was only just started answers within this, most often; ms. */
const SILENT_MS = 1_000;

interface Silence {
  afterMs: number;
  onSilence: (() => void) | undefined;
  wake: () => Promise<void> | undefined;
}

/**
 * Waits for an answer. Where it takes long, its sandbox may have stopped its own init process before it was saved: that is set
 * going again, and nobody else waits for this machine any more.
 */
async function whileSilent({ afterMs, onSilence, wake }: Silence, answer: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    onSilence?.();
    wake()?.catch(() => undefined); // It is no worse off: its deadline says what is wrong.
  }, afterMs);
  try {
    await answer;
  } finally {
    clearTimeout(timer);
  }
}

/** What a machine's clock may be off: the time that it is told takes a while to come. Most often the next one comes at once. */
const CLOCK_OFF_MS = 100;
const CLOCK_TRIES = 3;

async function become(envd: EnvdRequest, { init, currentToken }: Identity, ownClock: boolean): Promise<void> {
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

/** Ends a machine and frees what it holds; what cannot be freed keeps nothing else. @throws Error with all that failed */
export async function freeMachine(context: StartContext, { machine, slotIndex }: SandboxRun): Promise<void> {
  const { driver, network, volumes } = context;
  await driver.kill(machine);
  const held = new Undo();
  held.add(() => network.discard(network.slot(slotIndex)));
  held.add(() => rm(machine.dir, { recursive: true, force: true }));
  held.add(() => volumes.detach(machine.id));
  held.add(() => driver.release(machine.id));
  await held.run();
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

/** What envd of a new sandbox is told. */
export function firstInit(
  config: orchestratorProto.SandboxConfig,
  volumes: SandboxVolumes,
  now: Date,
): EnvdInit {
  return {
    ...resumeInit(config, volumes, now),
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
  volumes: SandboxVolumes,
  now: Date,
): EnvdInit {
  return {
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
