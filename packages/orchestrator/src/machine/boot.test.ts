import { createServer, type Server } from 'node:http';
import { PORTS } from '@islet/contracts';
import type { Machine } from '@islet/driver';
import { afterEach, describe, expect, it } from 'vitest';
import { EnvdSilentError } from '../envd/client.ts';
import { waitForBoot } from './boot.ts';

/** An address of the loopback network that no other test uses. */
const ADDRESS = '127.45.7.1';
const BOOT_MS = 200;

const machine: Machine = { id: 'm1', dir: '/nowhere', main: { pid: 1, startTicks: 1 }, companions: [] };
const driver = (bootMs: number, alive = true) => ({ isAlive: () => alive, pace: { bootMs, restoreMs: 0 } });

let server: Server | undefined;
afterEach(() => server?.close());

function serve(): void {
  server = createServer((_, response) => response.writeHead(204).end());
  server.listen(PORTS.envd, ADDRESS);
}

describe('the wait for a build to boot', () => {
  it('is longer than a sandbox may take', async () => {
    setTimeout(serve, BOOT_MS * 2);
    await waitForBoot(driver(BOOT_MS), machine, { address: ADDRESS });
  });

  it('ends in time all the same', async () => {
    const waiting = waitForBoot(driver(BOOT_MS), machine, { address: ADDRESS });
    await expect(waiting).rejects.toThrow(EnvdSilentError);
  });

  it('ends with the sandbox', async () => {
    const waiting = waitForBoot(driver(600_000, false), machine, { address: ADDRESS });
    await expect(waiting).rejects.toThrow('ended before its daemon answered');
  });

  it('ends when no one wants the build any more', async () => {
    const given = new AbortController();
    const waiting = waitForBoot(driver(600_000), machine, { address: ADDRESS, signal: given.signal });
    given.abort(new Error('given up'));
    await expect(waiting).rejects.toThrow('given up');
  });
});
