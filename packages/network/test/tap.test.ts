import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHostExec } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Slot } from '../src/addresses.ts';
import { NetworkPool } from '../src/pool.ts';
import { MOST_CONNECTIONS } from '../src/rules.ts';
import { type ClaimedSubnet, claimSubnet } from '../src/subnet.ts';

const FLOOD = join(import.meta.dirname, 'tap-flood.py');

/** Real namespaces, links and firewall rules; needs root. */
describe.runIf(process.getuid?.() === 0)('the network of a virtual machine whose root speaks raw', () => {
  const host = openHostExec();
  let claims: string;
  let claim: ClaimedSubnet;
  let pool: NetworkPool;
  let slot: Slot;
  beforeAll(async () => {
    claims = await mkdtemp(join(tmpdir(), 'islet-claims-'));
    const instance = randomBytes(3).toString('hex');
    claim = await claimSubnet(instance, claims, host.exec);
    const logger = createLogger({ service: 'test', level: 'silent' });
    const common = { instance, subnet: claim.subnet, resolvers: [], exec: host.exec, logger };
    pool = await NetworkPool.open({ ...common, attachment: 'tap', ahead: 1 }, []);
    slot = await pool.take();
  });
  afterAll(async () => {
    await pool.close();
    await claim.release();
    await rm(claims, { recursive: true });
    host.close();
  });
  const inside = (...command: string[]) => host.exec('ip', ['netns', 'exec', slot.netns, ...command]);

  it('remembers no more of its connections than of any sandbox, in the host’s memory', async () => {
    await inside('python3', FLOOD, 'udp', '30000');
    const tracked = Number(await inside('cat', '/proc/sys/net/netfilter/nf_conntrack_count'));
    expect(tracked).toBeGreaterThan(1000);
    expect(tracked).toBeLessThanOrEqual(MOST_CONNECTIONS);
  });

  it('takes none of the host’s room for neighbours', async () => {
    const neighbours = async () => (await inside('ip', 'neigh')).trim().split('\n').length;
    const before = await neighbours();
    await inside('python3', FLOOD, 'arp', '5000');
    expect(await neighbours()).toBe(before);
  });
});
