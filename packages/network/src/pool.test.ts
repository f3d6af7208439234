import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, openHostExec } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Slot } from './addresses.ts';
import { slotIndices } from './commands.ts';
import { NetworkPool } from './pool.ts';
import { type ClaimedSubnet, claimSubnet } from './subnet.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

const host = openHostExec();
afterAll(() => host.close());

/** Real namespaces, links and firewall rules; needs root. */
describe('NetworkPool', () => {
  const instance = randomBytes(3).toString('hex');
  let claims: string;
  let claim: ClaimedSubnet;
  let pool: NetworkPool;

  const open = (adopted: Parameters<typeof NetworkPool.open>[1] = []) =>
    NetworkPool.open(
      {
        instance,
        subnet: claim.subnet,
        resolvers: ['8.8.8.8'],
        attachment: 'interface',
        ahead: 3,
        exec: host.exec,
        logger,
      },
      adopted,
    );
  const namespaces = async () => slotIndices(instance, await readdir('/run/netns')).sort((a, b) => a - b);
  const inside = (slot: Slot, ...command: string[]) =>
    host.exec('ip', ['netns', 'exec', slot.netns, ...command]);
  const reaches = (slot: Slot, address: string, port: number) =>
    inside(slot, 'bash', '-c', `timeout 1 bash -c 'exec 3<>/dev/tcp/${address}/${port}'`).then(
      () => true,
      (error) => {
        if (error instanceof CommandError) return false;
        throw error;
      },
    );

  beforeEach(async () => {
    claims = await mkdtemp(join(tmpdir(), 'islet-claims-'));
    claim = await claimSubnet(instance, claims, host.exec);
    pool = await open();
  });
  afterEach(async () => {
    await pool.close();
    await claim.release();
    await rm(claims, { recursive: true });
    expect(await namespaces()).toEqual([]);
    expect(await host.exec('nft', ['list', 'tables'])).not.toContain(instance);
    expect(await host.exec('ip', ['-br', 'link'])).not.toContain(instance);
  });

  it('gives slots with an address and a route, and serves a burst beyond what is ready', async () => {
    const slots = await Promise.all(Array.from({ length: 12 }, () => pool.take()));
    expect(new Set(slots.map((slot) => slot.index)).size).toBe(12);
    const slot = slots[11] as Slot;
    const routes = await host.exec('ip', ['-n', slot.netns, 'route']);
    expect(routes).toContain(`default via ${slot.hostAddress}`);
    expect(await host.exec('ip', ['-n', slot.netns, '-6', 'addr', 'show', 'dev', 'eth0'])).toBe('');
  });

  it('keeps slots from the host, from each other, and from taking another address', async () => {
    const [a, b] = [await pool.take(), await pool.take()];
    const onHost = createServer().listen(0, '0.0.0.0');
    await new Promise((resolve) => onHost.once('listening', resolve));
    const { port } = onHost.address() as { port: number };
    try {
      expect(await reaches(a, a.hostAddress, port)).toBe(false);
      expect(await reaches(a, b.hostAddress, port)).toBe(false);
      expect(await reaches(a, b.sandboxAddress, 1)).toBe(false);
      // The host itself reaches a server in the slot.
      const served = new AbortController();
      const program = "require('net').createServer(s=>s.end('hi')).listen(7777,'0.0.0.0')";
      const server = host
        .exec('ip', ['netns', 'exec', b.netns, process.execPath, '-e', program], {
          signal: served.signal,
          timeoutMs: 120_000,
        })
        .catch(() => '');
      await expect
        .poll(() =>
          host.exec('bash', ['-c', `timeout 5 cat < /dev/tcp/${b.sandboxAddress}/7777`]).catch(() => ''),
        )
        .toBe('hi');
      expect(await reaches(a, b.sandboxAddress, 7777)).toBe(false);
      served.abort();
      await server;
    } finally {
      onHost.close();
    }
  });

  it('removes a discarded slot with its rules and makes another', async () => {
    const slot = await pool.take();
    await pool.setEgress(slot, { allowInternetAccess: false, allowOut: ['1.1.1.1'], denyOut: [] });
    expect(await host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`])).toContain(
      `owner_${slot.index}`,
    );
    pool.discard(slot);
    await expect.poll(namespaces).not.toContain(slot.index);
    await expect
      .poll(() => host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`]))
      .not.toContain(`"is${instance}-${slot.index}"`);
  });

  it('takes over the slots of adopted sandboxes and removes the rest of a killed process', async () => {
    const [kept, dropped] = [await pool.take(), await pool.take()];
    await expect.poll(namespaces).toHaveLength(5); // the first pool has nothing left to do
    for (const slot of [kept, dropped])
      await host.exec('ip', ['-n', slot.netns, 'link', 'set', 'lo', 'mtu', '1234']);
    const isOld = (slot: Slot) =>
      host.exec('ip', ['-n', slot.netns, 'link', 'show', 'lo']).then((text) => text.includes('mtu 1234'));
    const second = await open([
      { index: kept.index, egress: { allowInternetAccess: false, allowOut: [], denyOut: [] } },
    ]);
    expect(await isOld(kept)).toBe(true);
    expect(await isOld(dropped)).toBe(false); // a new one of the same name
    expect(await host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`])).toContain(
      `jump owner_${kept.index}`,
    );
    expect((await second.take()).index).not.toBe(kept.index);
    pool = second;
  });
});

describe('claimSubnet', () => {
  it('gives two living Islets different blocks', async () => {
    const claims = await mkdtemp(join(tmpdir(), 'islet-claims-'));
    const [a, b] = [
      await claimSubnet('00000a', claims, host.exec),
      await claimSubnet('10000a', claims, host.exec),
    ];
    expect(a.subnet.block).not.toBe(b.subnet.block);
    await a.release();
    const again = await claimSubnet('20000a', claims, host.exec);
    expect(again.subnet).toEqual(a.subnet);
    await rm(claims, { recursive: true });
  });
});
