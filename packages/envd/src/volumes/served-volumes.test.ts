import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ServedVolumes } from './served-volumes.ts';

let dir: string;
let calls: string[];
let failing: string | undefined;
let served: ServedVolumes;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'islet-served-'));
  calls = [];
  failing = undefined;
  served = new ServedVolumes(dir, {
    mount(source, target, kind, _options, flags = []) {
      calls.push(`${kind} ${source} on ${target.slice(dir.length)} ${flags}`);
      if (source === failing) throw new Error('refused');
    },
    remount: (path, flags) => void calls.push(`remount ${path.slice(dir.length)} ${flags}`),
  });
});
afterEach(() => rmSync(dir, { recursive: true }));

const volume = (id: string, path = `/mnt/${id}`) => ({ id, path, target: `10.0.0.1:/${id}` });
const WRITABLE = 'remount  nosuid,nodev';
const READ_ONLY = 'remount  readonly,nosuid,nodev';

it('are mounted once each, in a directory that nobody writes to before or after', () => {
  served.mount([volume('a'), volume('a', '/elsewhere'), volume('b')]);
  served.mount([volume('a')]);
  served.mount([volume('b'), volume('c')]);
  expect(calls).toEqual([
    'tmpfs volumes on  nosuid,nodev',
    'nfs 10.0.0.1:/a on /a nosuid,nodev',
    'nfs 10.0.0.1:/b on /b nosuid,nodev',
    READ_ONLY,
    WRITABLE,
    'nfs 10.0.0.1:/c on /c nosuid,nodev',
    READ_ONLY,
  ]);
  expect(readdirSync(dir)).toEqual(['a', 'b', 'c']);
});

it('that are seen already are left alone', () => {
  served.mount([{ id: 'a', path: '/mnt', target: undefined }]);
  expect(calls).toEqual([]);
});

it('are mounted at the next try if the first failed', () => {
  failing = '10.0.0.1:/a';
  expect(() => served.mount([volume('a')])).toThrow('refused');
  expect(calls.at(-1)).toBe(READ_ONLY);
  failing = undefined;
  served.mount([volume('a')]);
  expect(calls.slice(-3)).toEqual([WRITABLE, 'nfs 10.0.0.1:/a on /a nosuid,nodev', READ_ONLY]);
});
