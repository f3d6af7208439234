import { type MachineSpec, processLimit } from '@islet/driver';
import { describe, expect, it } from 'vitest';
import { hostThreadLimit, ociSpec } from './oci-spec.ts';

describe('the disk of a sandbox', () => {
  const machine: MachineSpec = {
    ...{ id: 'm1', dir: '/machines/m1', rootfsDir: '/rootfs', guestDir: '/guest', netns: 'n1' },
    ...{ cpuCount: 2, memoryMb: 512, diskSizeMb: 1400 },
  };
  const options = { cgroupsPath: '/c', ldName: 'ld.so', hostCpus: 4 };
  interface Spec {
    process: { args: string[] };
    root: { readonly: boolean };
    mounts: { destination: string; source: string }[];
    annotations: Record<string, string>;
  }
  const specOf = (changes: Partial<MachineSpec> = {}) => ociSpec({ ...machine, ...changes }, options) as Spec;
  const diskOf = ({ mounts }: Spec) => mounts.filter(({ source }) => source === '/machines/m1/files');

  it('lies in a file of its folder, has its size, and is handed to envd', () => {
    const spec = specOf({ diskUsedMb: 900 });
    expect(spec.root.readonly).toBe(true);
    const [disk] = diskOf(spec);
    // gVisor finds the hint by the mount's source.
    expect(spec.annotations).toMatchObject({
      'dev.gvisor.spec.mount.disk.source': '/machines/m1/files',
      'dev.gvisor.spec.mount.disk.options': 'rw,size=1400m',
    });
    expect(spec.process.args.slice(-6, -2)).toEqual(['--disk', disk?.destination, '--disk-used-mb', '900']);
  });

  it('is not there if a build writes to a folder of the host', () => {
    const writableRoot = { lowerDirs: ['/a'], upperDir: '/b', workDir: '/c' };
    const spec = specOf({ writableRoot, diskSizeMb: undefined });
    expect(spec).toMatchObject({ root: { readonly: false }, annotations: {} });
    expect(diskOf(spec)).toEqual([]);
    expect(spec.process.args).not.toContain('--disk');
  });

  it('must have a size', () => {
    expect(() => specOf({ diskSizeMb: undefined })).toThrow(/size of its disk/);
  });
});

it.each([128, 1024, 65_536])(
  'the host’s threads suffice for the processes that a sandbox of %d MiB may have',
  (memoryMb) => {
    expect(hostThreadLimit(memoryMb)).toBeGreaterThan(2 * processLimit(memoryMb));
  },
);
