import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Recipe } from '../recipe/recipe.ts';
import { identityFile, keptAptOptions, planRootfs } from './plan.ts';

const recipe: Recipe = {
  name: 'base',
  description: '',
  distribution: 'debian',
  suite: 'trixie',
  components: ['main', 'contrib'],
  cpuCount: 2,
  memoryMb: 512,
  freeDiskMb: 512,
  defaultUser: 'user',
  defaultWorkdir: '/home/user',
  packages: ['curl', 'git'],
  excludedPaths: ['/usr/share/man/*'],
  includedPaths: ['/usr/share/doc/*/copyright'],
  dir: '/recipes/base',
  hash: 'abc',
};

const plan = (changes: Partial<Recipe> = {}) =>
  planRootfs({
    recipe: { ...recipe, ...changes },
    mirror: { main: 'http://m.example/debian', security: 'http://m.example/debian-security' },
    aptOptions: ['Acquire::http::Proxy "http://proxy.example:3128"'],
    keyring: '/keys.gpg',
    identity: identityFile('tpl', 'bld'),
    target: '/target',
  });

describe('the command that makes a root file system', () => {
  it('ties every process and mount to namespaces that end with it', () => {
    const words = plan();
    expect(words.slice(0, 3)).toEqual(['setpriv', '--pdeathsig', 'KILL']);
    expect(words.slice(3, words.indexOf('mmdebstrap'))).toEqual(
      expect.arrayContaining(['unshare', '--mount', '--pid', '--kill-child=KILL']),
    );
  });

  it('takes release, updates and security from the mirror', () => {
    const words = plan();
    expect(words.slice(words.indexOf('trixie'))).toEqual([
      'trixie',
      '/target',
      'deb http://m.example/debian trixie main contrib',
      'deb http://m.example/debian trixie-updates main contrib',
      'deb http://m.example/debian-security trixie-security main contrib',
    ]);
    expect(words).toContain('--include=curl,git');
    expect(words).toContain('--aptopt=Acquire::http::Proxy "http://proxy.example:3128"');
    expect(words).toContain('--keyring=/keys.gpg');
  });
});

describe('the hook that copies files', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "islet plan's-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("sets modes whatever the checkout's are, keeps executables, and copes with any path", () => {
    mkdirSync(join(dir, 'files/etc'), { recursive: true, mode: 0o700 });
    writeFileSync(join(dir, 'files/etc/profile'), 'p', { mode: 0o600 });
    writeFileSync(join(dir, 'files/etc/run'), 'r', { mode: 0o700 });
    const target = join(dir, 'root');
    mkdirSync(target);
    const hook = plan({ dir }).find((word) => word.startsWith('--customize-hook=tar'));
    execFileSync('sh', ['-c', hook?.replace('--customize-hook=', '') ?? 'false', 'sh', target]);
    expect(readFileSync(join(target, 'etc/profile'), 'utf8')).toBe('p');
    const mode = (path: string) => statSync(join(target, path)).mode & 0o777;
    expect([mode('etc'), mode('etc/profile'), mode('etc/run')]).toEqual([0o755, 0o644, 0o755]);
  });
});

describe('apt settings taken over from the host', () => {
  it('are those that decide how the mirror is reached, and no others', () => {
    const dump = [
      'APT::Install-Recommends "1";',
      'Acquire::http::Proxy "http://proxy:3128";',
      'Acquire::https::Verify-Peer "true";',
      'Acquire::Check-Valid-Until "false";',
      'Acquire::Languages "none";',
      'Acquire::http::Proxy "";',
      'DPkg::Post-Invoke:: "rm -rf /";',
    ].join('\n');
    expect(keptAptOptions(dump)).toEqual([
      'Acquire::http::Proxy "http://proxy:3128"',
      'Acquire::https::Verify-Peer "true"',
      'Acquire::Check-Valid-Until "false"',
    ]);
  });
});
