import { ALWAYS_DENIED } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { blockSubnet, overlaps, slotAt } from './addresses.ts';
import { egressScript, MOST_CONNECTIONS, steerScript, tableScript } from './rules.ts';

const slot = slotAt('a1b2c3', blockSubnet(1), 7);
const open = { allowOut: [], denyOut: [] };
const none = { chain: false, gated: false };
const both = { chain: true, gated: true };

describe('egressScript', () => {
  it('leaves an unrestricted slot alone', () => {
    expect(egressScript('a1b2c3', slot, open, none)).toBe('');
    expect(
      egressScript('a1b2c3', slot, { ...open, allowInternetAccess: true, allowOut: ['1.1.1.1'] }, none),
    ).toBe('');
  });

  it('puts what is allowed before what is denied, whatever their order', () => {
    const script = egressScript('a1b2c3', slot, { allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] }, none);
    expect(script.split('\n')).toEqual([
      'add chain inet islet_a1b2c3 owner_7',
      'flush chain inet islet_a1b2c3 owner_7',
      'add rule inet islet_a1b2c3 owner_7 ip daddr 1.1.1.1 jump permit',
      'add rule inet islet_a1b2c3 owner_7 ip daddr 0.0.0.0/0 jump refuse',
      'add element inet islet_a1b2c3 owners { "isa1b2c3-7" : jump owner_7 }',
      '',
    ]);
  });

  it('takes no internet access as a denial of everything, in place of the denied list', () => {
    const script = egressScript(
      'a1b2c3',
      slot,
      { allowInternetAccess: false, allowOut: [], denyOut: ['9.9.9.9'] },
      none,
    );
    expect(script).toContain('ip daddr 0.0.0.0/0 jump refuse');
    expect(script).not.toContain('9.9.9.9');
  });

  it('writes addresses and networks alone into the script, whatever names begin like', () => {
    const names = [
      '8.8.8.8/32 accept',
      '8.8.8.8/\nflush ruleset',
      '8.8.8.8/24/1',
      '8.8.8.8/033',
      '8.8.8.8/ 8',
      'a.test',
    ];
    const rules = { allowOut: [...names, '1.1.1.0/24'], denyOut: ['0.0.0.0/0'], resolvers: names };
    const lines = egressScript('a1b2c3', slot, rules, none)
      .split('\n')
      .filter((line) => line.startsWith('add rule'));
    expect(lines).toEqual([
      'add rule inet islet_a1b2c3 owner_7 ip daddr 1.1.1.0/24 jump permit',
      'add rule inet islet_a1b2c3 owner_7 ip daddr 0.0.0.0/0 jump refuse',
    ]);
  });

  it('replaces rules without adding the chain to the map twice, and takes it out when they are cleared', () => {
    const denied = { allowOut: [], denyOut: ['8.8.8.8', '8.8.8.8'] };
    expect(egressScript('a1b2c3', slot, denied, { ...none, chain: true })).not.toContain('add element');
    expect(egressScript('a1b2c3', slot, denied, { ...none, chain: true }).match(/8\.8\.8\.8/g)).toHaveLength(
      1,
    );
    expect(egressScript('a1b2c3', slot, open, { ...none, chain: true })).toBe(
      'delete element inet islet_a1b2c3 owners { "isa1b2c3-7" }\nflush chain inet islet_a1b2c3 owner_7\ndelete chain inet islet_a1b2c3 owner_7\n',
    );
  });

  it('has nothing to do for IPv6, which never leaves a sandbox', () => {
    const script = egressScript(
      'a1b2c3',
      slot,
      { allowOut: ['2606:4700::/32'], denyOut: ['::/0', '1.2.3.0/24'] },
      none,
    );
    expect(script).not.toContain(':/');
    expect(script).toContain('1.2.3.0/24');
  });
});

describe('a gated slot', () => {
  const gated = { ...open, gated: true };

  it('is one once, whatever else its rules say, until it is none', () => {
    expect(egressScript('a1b2c3', slot, gated, none)).toBe(
      'add element inet islet_a1b2c3 gated { "isa1b2c3-7" }\n',
    );
    expect(egressScript('a1b2c3', slot, { ...gated, denyOut: ['0.0.0.0/0'] }, both)).not.toContain('element');
    const script = egressScript('a1b2c3', slot, open, both);
    expect(script).toContain('delete element inet islet_a1b2c3 gated { "isa1b2c3-7" }');
    expect(script).toContain('delete chain inet islet_a1b2c3 owner_7');
  });

  it('asks its resolvers by DNS alone, before anything is denied', () => {
    const rules = { ...gated, denyOut: ['0.0.0.0/0'], resolvers: ['8.8.8.8', '8.8.8.8', '::1'] };
    const lines = egressScript('a1b2c3', slot, rules, both).split('\n');
    expect(lines.filter((line) => line.includes('8.8.8.8'))).toEqual([
      'add rule inet islet_a1b2c3 owner_7 meta l4proto { tcp, udp } th dport 53 ip daddr 8.8.8.8 jump permit',
    ]);
    expect(lines.findIndex((line) => line.includes('8.8.8.8'))).toBeLessThan(
      lines.findIndex((line) => line.includes('jump refuse')),
    );
  });

  it('has no TCP forwarded before anything is accepted', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), []);
    const chain = script.slice(script.indexOf('chain from_sandbox {'));
    expect(chain.indexOf('@gated meta l4proto tcp')).toBeLessThan(chain.indexOf('accept'));
    expect(chain.indexOf('@gated meta l4proto tcp')).toBeGreaterThan(0);
  });

  it('is steered for what it may reach alone, under a mark of its instance', () => {
    const lines = steerScript('a1b2c3', blockSubnet(3), 4567).trim().split('\n');
    expect(lines.at(-1)).toContain('meta l4proto tcp meta mark set 0x69000003 tproxy ip to 127.0.0.1:4567');
    const places = ['169.254.0.0/16', 'fib daddr type local', 'tproxy'].map((text) =>
      lines.findIndex((line) => line.includes(text)),
    );
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
});

describe('what no sandbox reaches', () => {
  const isDenied = (address: string) => ALWAYS_DENIED.some((range) => overlaps(range, address));

  it.each([
    ['0.0.0.0', 'every address of the host, to its own programs'],
    ['0.1.2.3', 'this network'],
    ['10.0.0.1', 'a private network'],
    ['10.64.0.1', 'a sandbox’s gateway'],
    ['100.64.0.1', 'a carrier’s network'],
    ['100.100.100.200', 'Alibaba’s metadata'],
    ['100.127.255.255', 'the last of a carrier’s network'],
    ['127.0.0.1', 'loopback'],
    ['127.0.0.53', 'systemd’s resolver'],
    ['168.63.129.16', 'Azure’s wire server'],
    ['169.254.169.254', 'metadata'],
    ['169.254.170.2', 'credentials of containers'],
    ['172.17.0.1', 'Docker’s bridge'],
    ['172.31.255.255', 'a private network'],
    ['192.0.0.192', 'Oracle’s metadata'],
    ['192.0.0.170', 'discovery of NAT64'],
    ['192.0.2.1', 'documentation'],
    ['192.88.99.1', 'a relay to IPv6'],
    ['192.168.1.1', 'a private network'],
    ['198.18.0.1', 'benchmarks'],
    ['198.19.249.2', 'the second half of it'],
    ['198.51.100.1', 'documentation'],
    ['203.0.113.1', 'documentation'],
    ['224.0.0.251', 'names on the local network'],
    ['239.255.255.250', 'devices on the local network'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'everybody'],
  ])('includes %s, %s', (address) => {
    expect(isDenied(address)).toBe(true);
  });

  it.each([
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '126.255.255.255',
    ],
    ...['128.0.0.0', '168.63.129.15', '168.63.129.17', '169.253.255.255', '169.255.0.0', '172.15.255.255'],
    ...['172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0', '192.52.193.1', '192.88.98.255'],
    ...['192.88.100.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '198.51.99.255'],
    ...['198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255'],
  ])('does not include %s', (address) => {
    expect(isDenied(address)).toBe(false);
  });

  it('is refused before the owner’s rules are asked', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), []);
    const chain = script.slice(script.indexOf('chain from_sandbox {'));
    for (const range of ALWAYS_DENIED) {
      expect(chain.indexOf(range)).toBeGreaterThan(0);
      expect(chain.indexOf(range)).toBeLessThan(chain.indexOf('jump owner_rules'));
    }
  });

  it('has no ranges that overlap, which nft would not load', () => {
    for (const [i, a] of ALWAYS_DENIED.entries()) {
      expect(ALWAYS_DENIED.filter((b, j) => i !== j && overlaps(a, b))).toEqual([]);
    }
  });
});

describe('tableScript', () => {
  it('counts a sandbox’s connections after the answers to others are let through, and before anything is allowed', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), ['9.9.9.9']);
    const chain = script.slice(script.indexOf('chain from_sandbox {'));
    const order = ['established', 'jump limits', '9.9.9.9', 'jump owner_rules'];
    const places = order.map((text) => chain.indexOf(text));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    const limits = chain.slice(chain.indexOf('chain limits {'));
    expect(limits).toContain('@new_connections');
    expect(limits).toContain(`ct count over ${MOST_CONNECTIONS}`);
  });

  it('lets IPv4 resolvers through before the private ranges are denied', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), ['10.0.0.53', '::1']);
    expect(script.indexOf('10.0.0.53')).toBeGreaterThan(0);
    expect(script.indexOf('10.0.0.53')).toBeLessThan(script.indexOf('10.0.0.0/8'));
    expect(script).not.toContain('::1');
  });
});
