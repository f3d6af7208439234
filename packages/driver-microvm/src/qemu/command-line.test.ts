import { describe, expect, it } from 'vitest';
import { readTscKhz } from './accelerator.ts';
import { type CommandLineOptions, kernelArguments, qemuArguments } from './command-line.ts';

const restored: CommandLineOptions = {
  shape: {
    ...{ cpuCount: 2, memoryMb: 512, diskBytes: 1 << 30, ownsMemory: false },
    layers: ['disk-0', 'disk-1', 'disk-2'],
    memoryLayers: [],
  },
  dir: '/machines/m1',
  controlSocket: '/run/m1/control',
  watchSocket: '/run/m1/watch',
  accelerator: { kind: 'kvm' },
  uid: 1_000_000_007,
};
const after = (args: string[], flag: string) => args.filter((_, i) => args[i - 1] === flag);

describe('a machine that goes on from a snapshot', () => {
  const args = qemuArguments(restored);

  it('has memory of its own, into which the shared one is mapped later, and gives back what its guest frees', () => {
    expect(after(args, '-object')).toContain('memory-backend-ram,id=ram,size=512M');
    expect(after(args, '-device')).toContain('virtio-balloon-device,free-page-reporting=on');
  });

  it('writes into the topmost layer of its disk only', () => {
    const nodes = after(args, '-blockdev').map((text) => JSON.parse(text) as Record<string, unknown>);
    const writable = nodes.filter((node) => node['read-only'] === false).map((node) => node['node-name']);
    expect(writable).toEqual(['disk-2-file', 'disk-2']);
    expect(nodes.find((node) => node['node-name'] === 'disk-2')).toMatchObject({ backing: 'disk-1' });
  });

  it('waits for no disk of the host, which is of no use once the host ended', () => {
    const nodes = after(args, '-blockdev').map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(nodes.filter(({ cache }) => !(cache as { 'no-flush'?: boolean })['no-flush'])).toEqual([]);
  });

  it('waits for its state and boots no kernel', () => {
    expect(after(args, '-incoming')).toEqual(['defer']);
    expect(args).not.toContain('-kernel');
  });

  it('sees its own folder alone, as a user of its own, filtered', () => {
    expect(after(args, '-run-with')).toEqual(['chroot=/machines/m1,user=1000000007:1000000007']);
    expect(after(args, '-sandbox')[0]).toMatch(/^on,.*spawn=deny/);
  });
});

it('has the devices of its snapshot whether it boots or not', () => {
  const boot = { kernel: '/k', initrd: '/i', diskUsedMb: 900, mostProcesses: 512 };
  const devices = (options: CommandLineOptions) => after(qemuArguments(options), '-device');
  expect(devices({ ...restored, boot })).toEqual(devices(restored));
});

it('has Node.js make no code of its own for each function only if that has to be translated', () => {
  const boot = { kernel: '/k', initrd: '/i', diskUsedMb: 900, mostProcesses: 512 };
  expect(kernelArguments({ kind: 'tcg', tscKhz: 1 }, boot)).toContain('islet.node=--no-sparkplug');
  expect(kernelArguments({ kind: 'kvm' }, boot)).not.toContain('islet.node');
});

it('tells the kernel the rate of the counter only if it cannot ask KVM', () => {
  const boot = { kernel: '/k', initrd: '/i', diskUsedMb: 900, mostProcesses: 512 };
  expect(kernelArguments({ kind: 'tcg', tscKhz: 2_596_122 }, boot)).toContain('tsc_early_khz=2596122');
  expect(kernelArguments({ kind: 'kvm' }, boot)).not.toMatch(/tsc_early_khz|mitigations=off/);
});

it.each([
  [
    'refined in the log',
    'tsc: Detected 2600.0 MHz\ntsc: Refined TSC clocksource calibration: 2599.998 MHz',
    2_599_998,
  ],
  ['detected in the log', 'tsc: Detected 2596.122 MHz processor', 2_596_122],
  ['of the first CPU', '', 2_100_500],
])('finds the rate of the counter %s', (_, log, khz) => {
  expect(readTscKhz(log, 'processor : 0\ncpu MHz\t\t: 2100.500\n')).toBe(khz);
});

it('does not guess the rate of the counter', () => {
  expect(() => readTscKhz('', 'processor : 0\n')).toThrow(/TSC/);
});
