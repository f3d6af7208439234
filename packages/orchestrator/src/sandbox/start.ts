import { mkdir, rm } from 'node:fs/promises';
import type { orchestratorProto } from '@islet/contracts';
import type { Machine, SandboxDriver } from '../drivers/driver.ts';
import type { Slot } from '../network/addresses.ts';
import type { NetworkPool } from '../network/pool.ts';
import type { StoredTemplate } from '../templates/store.ts';
import { initEnvd } from './envd-client.ts';
import { Undo } from './undo.ts';

export interface StartContext {
  driver: SandboxDriver;
  network: NetworkPool;
  guestDirOf: (digest: string) => string;
}

export interface StartedMachine {
  machine: Machine;
  slot: Slot;
}

const ENVD_DEADLINE_MS = 15_000;

/**
 * Starts a sandbox from its build's snapshot and gives it its identity. Its egress rules hold before it runs its first
 * instruction. Whatever fails, everything made until then is freed before the error is thrown.
 */
export async function startFromSnapshot(
  context: StartContext,
  config: orchestratorProto.SandboxConfig,
  dir: string,
  template: StoredTemplate,
  signal?: AbortSignal,
): Promise<StartedMachine> {
  const { driver, network } = context;
  const undo = new Undo();
  try {
    const slot = await network.take();
    undo.add(() => network.discard(slot));
    if (config.egress) await network.setEgress(slot, config.egress);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    undo.add(() => rm(dir, { recursive: true, force: true }));
    undo.add(() => driver.release(config.sandboxId));
    const machine = await driver.restore(
      {
        id: config.sandboxId,
        dir,
        rootfsDir: template.manifest.rootfsDir,
        guestDir: context.guestDirOf(template.manifest.guestDigest),
        netns: slot.netns,
        cpuCount: config.cpuCount,
        memoryMb: config.memoryMb,
      },
      template.snapshotDir,
      signal,
    );
    await initEnvd(
      { address: slot.sandboxAddress, deadlineMs: ENVD_DEADLINE_MS, signal },
      {
        sandboxId: config.sandboxId,
        templateId: config.templateId,
        hostname: config.sandboxId,
        accessToken: config.envdAccessToken,
        envVars: config.envVars,
        defaultUser: config.defaultUser,
        defaultWorkdir: config.defaultWorkdir,
        timestamp: new Date().toISOString(),
      },
    );
    return { machine, slot };
  } catch (error) {
    await undo.run();
    throw error;
  }
}
