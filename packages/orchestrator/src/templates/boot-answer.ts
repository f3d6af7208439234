import type { Machine, SandboxDriver } from '@islet/driver';
import { type EnvdRequest, waitForEnvd } from '../sandbox/envd-client.ts';
import { whileAlive } from '../sandbox/while-alive.ts';

/**
 * A build's boot is waited for so much longer than a sandbox's: no request waits for it, and a first start is often on a machine
 * that has other things to do.
 */
const PATIENCE = 5;

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
