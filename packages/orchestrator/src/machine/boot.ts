import type { Machine, MachineSpec, SandboxDriver } from '@islet/driver';
import { type EnvdRequest, initEnvd, waitForEnvd } from '../envd/client.ts';
import type { Place } from './place.ts';
import { whileAlive } from './while-alive.ts';

/**
 * A build's boot is waited for so much longer than a sandbox's: no request waits for it, and a first start is often on a machine
 * that has other things to do.
 */
const PATIENCE = 5;

export interface BuildBoot extends Pick<MachineSpec, 'diskUsedMb' | 'writableRoot'> {
  defaultUser: string;
  defaultWorkdir: string;
  /** Resolvers, IPv4. */
  dns: readonly string[];
  signal: AbortSignal | undefined;
}

/** A build's machine that runs, and how its envd is asked. */
export interface BuildMachine {
  machine: Machine;
  envd: EnvdRequest;
}

/**
 * Boots a build's machine in its place; its envd serves when this returns. Whoever made the place frees it.
 * @throws MachineEndedError if the machine ends before; EnvdSilentError if it takes too long; what the driver throws
 */
export async function bootForBuild(
  driver: SandboxDriver,
  { slot, spec }: Omit<Place, 'undo'>,
  { diskUsedMb, writableRoot, defaultUser, defaultWorkdir, dns, signal }: BuildBoot,
): Promise<BuildMachine> {
  const machine = await driver.boot({ ...spec, diskUsedMb, ...(writableRoot && { writableRoot }) }, signal);
  const envd = { address: slot.sandboxAddress, deadlineMs: driver.pace.bootMs, signal };
  await waitForBoot(driver, machine, envd);
  await initEnvd(envd, { defaultUser, defaultWorkdir, dns, timestamp: new Date().toISOString() });
  return { machine, envd };
}

/**
 * Waits until the envd of a build's machine answers, no longer than the machine runs.
 * @throws MachineEndedError if that ends before; EnvdSilentError if it takes too long.
 */
export function waitForBoot(
  driver: Pick<SandboxDriver, 'isAlive' | 'pace'>,
  machine: Machine,
  { address, signal }: Pick<EnvdRequest, 'address' | 'signal'>,
): Promise<void> {
  const deadlineMs = driver.pace.bootMs * PATIENCE;
  return whileAlive(driver, machine, signal, (alive) => waitForEnvd({ address, deadlineMs, signal: alive }));
}
