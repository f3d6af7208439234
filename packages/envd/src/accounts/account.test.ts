import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createAccounts, parsePasswd } from './account.ts';
import { PathError, resolvePath } from './resolve-path.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'envd-accounts-'));
  mkdirSync(join(root, 'etc'));
});
afterEach(() => rmSync(root, { recursive: true }));

it('finds users with all their groups, and follows changes', () => {
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:,,,:/home/user:/bin/bash\n',
  );
  writeFileSync(
    join(root, 'etc/group'),
    'root:x:0:\nuser:x:1000:\nsudo:x:27:user\ndocker:x:999:other,user\n',
  );
  const accounts = createAccounts(root);
  expect(accounts.find('user')).toEqual({
    name: 'user',
    uid: 1000,
    gid: 1000,
    home: '/home/user',
    groups: [1000, 27, 999],
  });
  expect(accounts.find('nobody')).toBeUndefined();
  expect([accounts.userName(1000), accounts.userName(4242), accounts.groupName(27)]).toEqual([
    'user',
    '4242',
    'sudo',
  ]);
  writeFileSync(join(root, 'etc/passwd'), 'new:x:7:8::/n:\n');
  expect(accounts.find('new')).toMatchObject({ uid: 7, gid: 8, groups: [8] });
  expect(accounts.find('user')).toBeUndefined();
});

it('knows root in an image without users', () => {
  expect(createAccounts(root).find('root')).toMatchObject({ uid: 0, gid: 0, home: '/root' });
  expect(createAccounts(root).find('user')).toBeUndefined();
});

it('leaves out lines that name no valid user', () => {
  expect(
    parsePasswd('# comment\nbroken\n+::::::\nx:x:-1:0::/:\ny:x:4294967295:0::/:\nok:x:1:2::/:\n'),
  ).toEqual([{ name: 'ok', uid: 1, gid: 2, home: '/' }]);
});

const account = { name: 'user', uid: 1, gid: 1, home: '/home/user', groups: [1] };

it.each([
  ['', undefined, '/home/user'],
  ['', '/code', '/code'],
  ['', 'code', '/home/user/code'],
  ['~', undefined, '/home/user'],
  ['~/a/../b', undefined, '/home/user/b'],
  ['/a/../b//c', '/code', '/a/../b//c'],
  ['a', '/code', '/home/user/a'],
  ['../x', undefined, '/home/x'],
  ['./a/', undefined, '/home/user/a'],
])('resolves %j with the directory %j to %s', (path, workdir, expected) => {
  expect(resolvePath(path, account, workdir)).toBe(expected);
});

it.each(['~root', '~root/x', 'a\0b'])('refuses %j', (path) => {
  expect(() => resolvePath(path, account)).toThrow(PathError);
});
