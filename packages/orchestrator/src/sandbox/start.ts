import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { orchestratorProto } from '@islet/contracts';
import type { SandboxDriver } from '../drivers/driver.ts';
import type { NetworkPool } from '../network/pool.ts';
import { type EnvdInit, initEnvd } from './envd-client.ts';
import type { SandboxBase, SandboxRun } from './record.ts';
import { Undo } from './undo.ts';

export interface StartContext {
  driver: SandboxDriver;
  network: NetworkPool;
  guestDirOf: (digest: string) => string;
}

export interface StartedRun extends SandboxRun {
  address: string;
}

const ENVD_DEADLINE_MS = 15_000;

/**
 * Starts a sandbox from a snapshot and tells its envd who it is. Its egress rules hold before it runs its first
 * instruction. Whatever fails, everything made until then is freed before the error is thrown; the sandbox's folder stays.
 */
export async function startFromSnapshot(
  context: StartContext,
  config: orchestratorProto.SandboxConfig,
  source: { base: SandboxBase; snapshotDir: string; dir: string },
  identity: { init: EnvdInit; currentToken?: string | undefined },
  signal?: AbortSignal,
): Promise<StartedRun> {
  const { driver, network } = context;
  const undo = new Undo();
  try {
    const slot = await network.take();
    undo.add(() => network.discard(slot));
    if (config.egress) await network.setEgress(slot, config.egress);
    await mkdir(source.dir, { recursive: true, mode: 0o700 });
    undo.add(() => rm(join(source.dir, 'files'), { recursive: true, force: true }));
    undo.add(() => driver.release(config.sandboxId));
    const machine = await driver.restore(
      {
        id: config.sandboxId,
        dir: source.dir,
        rootfsDir: source.base.rootfsDir,
        guestDir: context.guestDirOf(source.base.guestDigest),
        netns: slot.netns,
        cpuCount: config.cpuCount,
        memoryMb: config.memoryMb,
      },
      source.snapshotDir,
      signal,
    );
    const envd = { address: slot.sandboxAddress, deadlineMs: ENVD_DEADLINE_MS, signal };
    await initEnvd(envd, identity.init, identity.currentToken);
    return { machine, slotIndex: slot.index, address: slot.sandboxAddress };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

/** What envd of a new sandbox is told. */
export function firstInit(config: orchestratorProto.SandboxConfig, now: Date): EnvdInit {
  return {
    ...resumeInit(config, now),
    hostname: config.sandboxId,
    envVars: config.envVars,
    defaultUser: config.defaultUser,
    defaultWorkdir: config.defaultWorkdir,
  };
}

/** What envd of a resumed sandbox is told: the rest it remembers. */
export function resumeInit(config: orchestratorProto.SandboxConfig, now: Date): EnvdInit {
  return {
    sandboxId: config.sandboxId,
    templateId: config.templateId,
    accessToken: config.envdAccessToken,
    timestamp: now.toISOString(),
  };
}
