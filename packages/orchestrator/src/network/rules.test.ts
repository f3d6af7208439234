import { describe, expect, it } from 'vitest';
import { blockSubnet, slotAt } from './addresses.ts';
import { egressScript, MOST_CONNECTIONS, tableScript } from './rules.ts';

const slot = slotAt('a1b2c3', blockSubnet(1), 7);
const open = { allowOut: [], denyOut: [] };

describe('egressScript', () => {
  it('leaves an unrestricted slot alone', () => {
    expect(egressScript('a1b2c3', slot, open, false)).toBe('');
    expect(
      egressScript('a1b2c3', slot, { ...open, allowInternetAccess: true, allowOut: ['1.1.1.1'] }, false),
    ).toBe('');
  });

  it('puts what is allowed before what is denied, whatever their order', () => {
    const script = egressScript('a1b2c3', slot, { allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] }, false);
    expect(script.split('\n')).toEqual([
      'add chain inet islet_a1b2c3 owner_7',
      'flush chain inet islet_a1b2c3 owner_7',
      'add rule inet islet_a1b2c3 owner_7 ip daddr 1.1.1.1 accept',
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
      false,
    );
    expect(script).toContain('ip daddr 0.0.0.0/0 jump refuse');
    expect(script).not.toContain('9.9.9.9');
  });

  it('replaces rules without adding the chain to the map twice, and takes it out when they are cleared', () => {
    const denied = { allowOut: [], denyOut: ['8.8.8.8', '8.8.8.8'] };
    expect(egressScript('a1b2c3', slot, denied, true)).not.toContain('add element');
    expect(egressScript('a1b2c3', slot, denied, true).match(/8\.8\.8\.8/g)).toHaveLength(1);
    expect(egressScript('a1b2c3', slot, open, true)).toBe(
      'delete element inet islet_a1b2c3 owners { "isa1b2c3-7" }\nflush chain inet islet_a1b2c3 owner_7\ndelete chain inet islet_a1b2c3 owner_7\n',
    );
  });

  it('has nothing to do for IPv6, which never leaves a sandbox', () => {
    const script = egressScript(
      'a1b2c3',
      slot,
      { allowOut: ['2606:4700::/32'], denyOut: ['::/0', '1.2.3.0/24'] },
      false,
    );
    expect(script).not.toContain(':/');
    expect(script).toContain('1.2.3.0/24');
  });
});

describe('tableScript', () => {
  it('counts a sandbox’s connections after the answers to others are let through, and before anything is allowed', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), ['9.9.9.9']);
    const chain = script.slice(script.indexOf('chain from_sandbox {'));
    const order = ['established', '@new_connections', '@open_connections', '9.9.9.9', 'jump owner_rules'];
    const places = order.map((text) => chain.indexOf(text));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(chain).toContain(`ct count over ${MOST_CONNECTIONS}`);
  });

  it('lets IPv4 resolvers through before the private ranges are denied', () => {
    const script = tableScript('a1b2c3', blockSubnet(1), ['10.0.0.53', '::1']);
    expect(script.indexOf('10.0.0.53')).toBeGreaterThan(0);
    expect(script.indexOf('10.0.0.53')).toBeLessThan(script.indexOf('10.0.0.0/8'));
    expect(script).not.toContain('::1');
  });
});
