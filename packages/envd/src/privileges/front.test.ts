import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandFor, frontScript, hasSudo, installFront, REAL_SUDO, SUDO_FRONT } from './front.ts';
import { maySudo } from './policy.ts';

describe('the front of sudo', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'envd-front-'));
    for (const directory of ['/usr/bin', '/usr/local/bin']) mkdirSync(root + directory, { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('runs through the loader that the daemon runs through', () => {
    const cmdline = [
      '/opt/ld.so',
      '--library-path',
      '/opt/lib',
      '/opt/node',
      '/opt/envd/envd.mjs',
      '--port',
      '1',
      '',
    ];
    expect(commandFor('sudo.mjs', cmdline.join('\0'), '/opt/envd/envd.mjs')).toEqual([
      '/opt/ld.so',
      '--library-path',
      '/opt/lib',
      '/opt/node',
      '/opt/envd/sudo.mjs',
    ]);
  });

  it('replaces and removes itself and nothing else', () => {
    const [first, second] = [frontScript(['a b']), frontScript(["it's"])];
    installFront(first, root);
    expect(statSync(root + SUDO_FRONT).mode & 0o777).toBe(0o755);
    installFront(second, root);
    expect(readFileSync(root + SUDO_FRONT, 'utf8')).toBe(second);
    expect(second).toContain(`exec 'it'\\''s' "$@"`);
    installFront(undefined, root);
    expect(existsSync(root + SUDO_FRONT)).toBe(false);
    installFront(undefined, root);
    writeFileSync(root + SUDO_FRONT, 'somebody else’s');
    for (const script of [first, undefined]) installFront(script, root);
    expect(readFileSync(root + SUDO_FRONT, 'utf8')).toBe('somebody else’s');
  });

  it('is told from the real one', () => {
    installFront(frontScript([]), root);
    expect(hasSudo(root)).toBe(false);
    writeFileSync(root + REAL_SUDO, 'real');
    expect(hasSudo(root)).toBe(true);
  });
});

it('only root, the owner and administrators may use it', () => {
  const groups = new Map([
    [27, 'sudo'],
    [100, 'users'],
  ]);
  const options = { defaultUser: 'owner', groupName: (gid: number) => groups.get(gid) ?? String(gid) };
  const account = (name: string, uid: number, gids: number[]) => ({
    name,
    uid,
    gid: gids[0] ?? 0,
    home: '/',
    groups: gids,
  });
  expect(maySudo(account('root', 0, [0]), options)).toBe(true);
  expect(maySudo(account('owner', 5, [5]), options)).toBe(true);
  expect(maySudo(account('admin', 6, [100, 27]), options)).toBe(true);
  expect(maySudo(account('guest', 7, [100]), options)).toBe(false);
});
