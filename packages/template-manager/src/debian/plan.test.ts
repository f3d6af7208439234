import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keptAptOptions, planDebian } from './plan.ts';

const plan = (packages = ['curl', 'git']) =>
  planDebian({
    suite: 'trixie',
    packages,
    mirror: { main: 'http://m.example/debian', security: 'http://m.example/debian-security' },
    aptOptions: ['Acquire::http::Proxy "http://proxy.example:3128"'],
    keyring: '/keys.gpg',
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
      'deb http://m.example/debian trixie main',
      'deb http://m.example/debian trixie-updates main',
      'deb http://m.example/debian-security trixie-security main',
    ]);
    expect(words).toContain('--include=curl,git');
    expect(words).toContain('--aptopt=Acquire::http::Proxy "http://proxy.example:3128"');
    expect(words).toContain('--keyring=/keys.gpg');
    expect(plan([]).join(' ')).not.toContain('--include');
  });
});

describe('the hook at the end', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "islet plan's-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('takes away what is of this machine, its mirror above all', () => {
    const write = (path: string) => {
      mkdirSync(join(dir, path, '..'), { recursive: true });
      writeFileSync(join(dir, path), 'http://m.example');
    };
    const gone = ['etc/apt/sources.list', 'etc/apt/apt.conf.d/99mmdebstrap', 'etc/ssh/ssh_host_key'];
    for (const path of [...gone, 'etc/machine-id', 'etc/apt/sources.list.d/other']) write(path);
    const hook = plan().find((word) => word.startsWith('--customize-hook='));
    execFileSync('sh', ['-c', hook?.replace('--customize-hook=', '') ?? 'false', 'sh', dir]);
    expect(gone.filter((path) => existsSync(join(dir, path)))).toEqual([]);
    expect(readFileSync(join(dir, 'etc/machine-id'), 'utf8')).toBe('');
    const sources = readFileSync(join(dir, 'etc/apt/sources.list.d/debian.sources'), 'utf8');
    expect(sources).toContain('URIs: http://deb.debian.org/debian\nSuites: trixie trixie-updates\n');
    expect(sources).toContain('\n\nTypes: deb\nURIs: http://deb.debian.org/debian-security\n');
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
