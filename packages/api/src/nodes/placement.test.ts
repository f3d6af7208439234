import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlacementAsk, type PlacementNode, place } from './placement.ts';

const SIZE = { cpuCount: 1, memoryMb: 512 };

function node(id: string, over: Partial<PlacementNode> = {}): PlacementNode {
  return {
    id,
    status: 'ready',
    isOpen: true,
    labels: {},
    identity: { isolation: 'gvisor', runtime: 'a', cpu: 'amd64/6/85' },
    capacity: { cpuCount: 8, memoryMb: 8192 },
    taken: { cpuCount: 0, memoryMb: 0 },
    ...over,
  };
}

function ids(nodes: readonly PlacementNode[], ask: Partial<PlacementAsk<PlacementNode>> = {}): string[] {
  const placement = place({ ...SIZE, holders: [], ...ask }, nodes, Math.random);
  return placement.kind === 'nodes' ? placement.nodes.map(({ id }) => id) : [placement.reason];
}

describe('placement', () => {
  it('takes the node with the largest share of memory left', () => {
    const full = node('full', { taken: { cpuCount: 0, memoryMb: 8000 } });
    const half = node('half', { taken: { cpuCount: 0, memoryMb: 4096 } });
    expect(ids([full, half, node('free')])).toEqual(['free', 'half', 'full']);
  });

  it('takes the node with the most of what it is short of, memory or processors', () => {
    const busy = node('busy', { taken: { cpuCount: 7, memoryMb: 0 } });
    const filled = node('filled', { taken: { cpuCount: 0, memoryMb: 4096 } });
    expect(ids([busy, filled])).toEqual(['filled', 'busy']);
  });

  it('compares shares, so that a large node is not full before a small one', () => {
    const large = node('large', {
      capacity: { cpuCount: 64, memoryMb: 65_536 },
      taken: { cpuCount: 8, memoryMb: 8192 },
    });
    const small = node('small', { taken: { cpuCount: 2, memoryMb: 2048 } });
    expect(ids([small, large])).toEqual(['large', 'small']);
  });

  it('leaves an overbooked node in, last: it says by itself when it is full', () => {
    const overbooked = node('overbooked', { taken: { cpuCount: 20, memoryMb: 20_000 } });
    expect(ids([overbooked])).toEqual(['overbooked']);
    expect(ids([overbooked, node('free')])).toEqual(['free', 'overbooked']);
  });

  it('prefers who has what it is started from, however full', () => {
    const holder = node('holder', { taken: { cpuCount: 6, memoryMb: 6000 } });
    expect(ids([node('free'), holder], { holders: [holder] })).toEqual(['holder', 'free']);
  });

  it('takes others than the holders only if they are like them', () => {
    const holder = node('holder', { status: 'unhealthy' });
    const runtime = node('runtime', { identity: { isolation: 'gvisor', runtime: 'b', cpu: 'amd64/6/85' } });
    const cpu = node('cpu', { identity: { isolation: 'gvisor', runtime: 'a', cpu: 'arm64/8/1' } });
    const { identity } = holder;
    expect(ids([holder, runtime, cpu, node('same')], { holders: [holder], identity })).toEqual(['same']);
    expect(ids([holder, runtime, cpu], { holders: [holder], identity })).toEqual(['incompatible']);
  });

  it('leaves out what does not answer, and puts last what has not told yet', () => {
    const gone = node('gone', { status: 'unhealthy' });
    const early = node('early', { status: 'connecting', capacity: undefined });
    expect(ids([gone, early, node('ready')])).toEqual(['ready', 'early']);
    expect(ids([gone, early])).toEqual(['early']);
    expect(ids([gone])).toEqual(['unavailable']);
    expect(ids([])).toEqual(['unavailable']);
  });

  it('takes only nodes with the labels that are asked for', () => {
    const zoned = node('zoned', { labels: { zone: 'a', disk: 'fast' } });
    expect(ids([node('plain'), zoned], { labels: { zone: 'a' } })).toEqual(['zoned']);
    expect(ids([node('plain'), zoned], { labels: { zone: 'b' } })).toEqual(['incompatible']);
  });

  it('looks at a few of a thousand, whichever', () => {
    let looks = 0;
    const counted = (id: string) =>
      Object.defineProperty(node(id), 'status', {
        get() {
          looks++;
          return 'ready';
        },
      });
    const thousand = Array.from({ length: 1000 }, (_, index) => counted(`n${index}`));
    const rounds = 200;
    const first = Array.from({ length: rounds }, () => ids(thousand)[0]);
    // Each is asked as it is drawn and once more as it is ranked.
    expect(looks / rounds).toBeLessThanOrEqual(10);
    expect(new Set(first).size).toBeGreaterThan(rounds / 2);
  });

  it('finds the one node of a thousand that can', () => {
    const thousand = Array.from({ length: 1000 }, (_, index) => node(`n${index}`, { status: 'unhealthy' }));
    thousand[617] = node('able');
    expect(ids(thousand)).toEqual(['able']);
  });

  it('names each node once, none that it must not, and one if any can', () => {
    const status = fc.constantFrom('ready', 'connecting', 'unhealthy' as const);
    const load = fc.record({ cpuCount: fc.nat(16), memoryMb: fc.nat(16_000) });
    const any = fc.array(fc.record({ status, taken: load, holds: fc.boolean() }), { maxLength: 12 });
    fc.assert(
      fc.property(any, (drawn) => {
        const nodes = drawn.map((over, index) => node(`n${index}`, over));
        const holders = nodes.filter((_, index) => drawn[index]?.holds);
        const found = ids(nodes, { holders });
        const able = nodes.filter((each) => each.status !== 'unhealthy').map(({ id }) => id);
        expect(new Set(found).size).toBe(found.length);
        if (able.length === 0) expect(found).toEqual(['unavailable']);
        else expect(found.length > 0 && found.every((id) => able.includes(id))).toBe(true);
      }),
    );
  });
});
