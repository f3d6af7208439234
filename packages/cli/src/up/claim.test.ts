import { access, mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimHost, portWishes, StartRefused } from './claim.ts';
import { readUpConfig } from './config.ts';

/** Claiming asks for root first, as a start needs it. */
describe.runIf(process.getuid?.() === 0)('a start', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-claim-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const config = (apiPort = 0) =>
    readUpConfig({
      flags: {
        'data-dir': join(dir, 'data'),
        'api-port': String(apiPort),
        'proxy-port': '0',
        'sandbox-proxy-port': '0',
        'orchestrator-port': '0',
        'template-manager-port': '0',
      },
      env: {},
    });
  const claim = (apiPort = 0) => claimHost(config().dataDir, portWishes(config(apiPort)));

  it('is refused if a port is taken, before it makes anything', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      await expect(claim(port)).rejects.toThrow(new RegExp(`${port} for the API: in use by pid`));
      await expect(access(join(dir, 'data'))).rejects.toThrow(/ENOENT/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('is refused if the data directory is held, naming the holder, also if its ports are taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const held = await claim();
    try {
      const { port } = server.address() as AddressInfo;
      for (const ports of [0, port]) {
        const refused = claim(ports);
        await expect(refused).rejects.toThrow(StartRefused);
        await expect(refused).rejects.toThrow(`already runs (pid ${process.pid})`);
      }
    } finally {
      await held[Symbol.asyncDispose]();
      await new Promise((resolve) => server.close(resolve));
    }
    await (await claim())[Symbol.asyncDispose]();
  });
});
