import { expect, it } from 'vitest';
import { parseEvents } from './inotify.ts';
import { createMachine, isInMemory } from './machine.ts';

it('takes inotify events apart', () => {
  const event = (wd: number, mask: number, name: string) => {
    const field = Buffer.alloc(name === '' ? 0 : 16);
    field.write(name);
    const header = Buffer.alloc(16);
    header.writeInt32LE(wd, 0);
    header.writeUInt32LE(mask, 4);
    header.writeUInt32LE(field.length, 12);
    return Buffer.concat([header, field]);
  };
  expect(parseEvents(Buffer.concat([event(1, 0x100, 'näme'), event(-1, 0x4000, '')]))).toEqual([
    { wd: 1, mask: 0x100, name: 'näme' },
    { wd: -1, mask: 0x4000, name: '' },
  ]);
});

it('draws kernel randomness and reseeds OpenSSL', () => {
  const machine = createMachine();
  expect(machine.randomBytes(16)).toHaveLength(16);
  expect(machine.randomBytes(16).equals(machine.randomBytes(16))).toBe(false);
  expect(machine.reseedOpenssl()).toBe(true);
});

it('finds out whether a directory is in memory', () => {
  const mounts = 'none / overlay rw 0 0\nnone /dev/shm tmpfs rw 0 0\nnone /data ext4 rw 0 0\n';
  expect(isInMemory(mounts, '/tmp')).toBe(false);
  expect(isInMemory(`${mounts}none /tmp tmpfs rw,mode=01777 0 0\n`, '/tmp')).toBe(true);
  expect(isInMemory(mounts, '/data')).toBe(false);
});
