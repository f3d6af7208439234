import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BLOCK_COUNT,
  blockSubnet,
  chooseBlock,
  formatIpv4,
  overlaps,
  parseIpv4,
  SLOT_COUNT,
  slotAt,
} from './addresses.ts';

const anySlot = fc.record({
  block: fc.integer({ min: 0, max: BLOCK_COUNT - 1 }),
  index: fc.integer({ min: 0, max: SLOT_COUNT - 1 }),
});

describe('slotAt', () => {
  it('stays in its block and in names the kernel takes', () => {
    fc.assert(
      fc.property(anySlot, ({ block, index }) => {
        const subnet = blockSubnet(block);
        const slot = slotAt('a1b2c3', subnet, index);
        expect(overlaps(subnet.cidr, slot.sandboxAddress)).toBe(true);
        expect(overlaps(subnet.cidr, slot.hostAddress)).toBe(true);
        expect(slot.hostInterface.length).toBeLessThanOrEqual(15);
        expect(slot.sandboxMac).toMatch(/^02:69(:[0-9a-f]{2}){4}$/);
      }),
    );
  });

  it('never gives two slots one address', () => {
    fc.assert(
      fc.property(anySlot, anySlot, (a, b) => {
        fc.pre(a.block !== b.block || a.index !== b.index);
        const [x, y] = [a, b].map(({ block, index }) => slotAt('a1b2c3', blockSubnet(block), index));
        expect(new Set([x?.hostAddress, x?.sandboxAddress, y?.hostAddress, y?.sandboxAddress]).size).toBe(4);
      }),
    );
  });

  it('begins where the block begins', () => {
    expect(slotAt('000000', blockSubnet(0), 0)).toEqual({
      index: 0,
      netns: 'islet-000000-0',
      hostInterface: 'is000000-0',
      hostAddress: '10.64.0.1',
      sandboxAddress: '10.64.0.2',
      sandboxMac: '02:69:0a:40:00:02',
    });
    expect(slotAt('000000', blockSubnet(255), SLOT_COUNT - 1).sandboxAddress).toBe('10.127.255.254');
  });
});

describe('chooseBlock', () => {
  it('gives an instance the same block each time, and the next if that is occupied', () => {
    expect(chooseBlock('00000a', () => false).block).toBe(10);
    expect(chooseBlock('00000a', (subnet) => subnet.block === 10).block).toBe(11);
    expect(chooseBlock('0000ff', (subnet) => subnet.block === 255).block).toBe(0);
  });

  it('says so if nothing is left', () => {
    expect(() => chooseBlock('00000a', () => true)).toThrow('10.64.0.0/10');
  });
});

describe('overlaps', () => {
  it.each([
    ['10.0.0.0/8', '10.64.0.0/18', true],
    ['10.64.0.0/18', '10.0.0.0/8', true],
    ['10.64.64.0/18', '10.64.0.0/18', false],
    ['10.64.0.7', '10.64.0.0/18', true],
    ['0.0.0.0/0', '10.64.0.0/18', true],
  ])('%s and %s: %s', (a, b, expected) => {
    expect(overlaps(a, b)).toBe(expected);
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (value) => parseIpv4(formatIpv4(value)) === value,
      ),
    );
  });
});
