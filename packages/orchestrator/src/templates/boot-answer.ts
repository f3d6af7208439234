import { type EnvdRequest, waitForEnvd } from '../sandbox/envd-client.ts';

/**
 * A build's boot is waited for so much longer than a sandbox's: no request waits for it, and a first start is often on a machine
 * that has other things to do.
 */
const PATIENCE = 5;
const LOOK_MS = 500;

export interface BootedMachine {
  isAlive: () => boolean;
  /** See `Pace`. */
  bootMs: number;
}

/**
 * Waits until the envd of a build's machine answers, no longer than the machine lives.
 * @throws Error if that ends before; EnvdSilentError if it takes too long.
 */
export async function waitForBoot(
  { isAlive, bootMs }: BootedMachine,
  envd: Pick<EnvdRequest, 'address' | 'signal'>,
): Promise<void> {
  const ended = new AbortController();
  const look = setInterval(() => {
    if (!isAlive()) ended.abort(new Error('the sandbox of the build ended before its daemon answered'));
  }, LOOK_MS);
  try {
    const signals = envd.signal ? [envd.signal, ended.signal] : [ended.signal];
    await waitForEnvd({ ...envd, deadlineMs: bootMs * PATIENCE, signal: AbortSignal.any(signals) });
  } finally {
    clearInterval(look);
  }
}
