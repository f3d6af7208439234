import { expect, it } from 'vitest';
import { parseEvents } from './inotify.ts';
import { errnoName, SystemError } from './libc.ts';
import { createMachine, isInMemory } from './machine.ts';
import { decodeStatus } from './wait.ts';

it('takes wait statuses apart', () => {
  expect(decodeStatus(1, 0)).toEqual({ pid: 1, exitCode: 0, signal: 0, coreDumped: false });
  expect(decodeStatus(1, 7 << 8)).toMatchObject({ exitCode: 7, signal: 0 });
  expect(decodeStatus(1, 9)).toMatchObject({ exitCode: -1, signal: 9, coreDumped: false });
  expect(decodeStatus(1, 6 | 0x80)).toMatchObject({ signal: 6, coreDumped: true });
});

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

it('names errors', () => {
  expect(errnoName(2)).toBe('ENOENT');
  expect(new SystemError('open', 13)).toMatchObject({ code: 'EACCES', message: 'open failed: EACCES' });
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
