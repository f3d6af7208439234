import { describe, expect, it } from 'vitest';
import { commandLine, type QemuOptions } from './qemu.ts';

const options: QemuOptions = {
  image: { disk: '/images/a,b/disk', kernel: '/images/vmlinuz', initrd: '/images/initrd' },
  ...{
    accelerator: 'tcg',
    memoryMib: 4096,
    cores: 2,
    publicKey: 'ssh-ed25519 AAAA me',
    consoleFile: '/run/console',
  },
};
const valuesOf = (args: string[], flag: string) => args.filter((_, i) => args[i - 1] === flag);

describe("a machine's QEMU", () => {
  const args = commandLine(options, 2222);

  it('writes nothing into the image, and takes a path as it is', () => {
    expect(valuesOf(args, '-drive')).toEqual([
      'file=/images/a,,b/disk,format=raw,if=virtio,snapshot=on,cache=unsafe',
    ]);
  });

  it("is reached on the host's loopback only, with the key of this run", () => {
    expect(valuesOf(args, '-netdev')).toEqual(['user,id=net,hostfwd=tcp:127.0.0.1:2222-:22']);
    const key = Buffer.from('ssh-ed25519 AAAA me').toString('base64');
    expect(valuesOf(args, '-smbios')[0]).toContain(`ssh.authorized_keys.root=${key}`);
  });

  it('offers the processor that was asked for, or the most that there is', () => {
    expect(valuesOf(args, '-cpu')).toEqual(['max,la57=off']);
    expect(valuesOf(commandLine({ ...options, cpu: 'EPYC,+svm' }, 1), '-cpu')).toEqual(['EPYC,+svm']);
    expect(valuesOf(commandLine({ ...options, accelerator: 'kvm' }, 1), '-cpu')).toEqual(['host']);
  });
});
