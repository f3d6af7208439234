import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { makeAuthority } from '@islet/certificates';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openPublicFolder } from '../host/public-folder.ts';
import { publish, readSystemRoots, trustFiles } from './published.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "islet-published' -"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
/** How many certificates OpenSSL finds in a file. */
function count(path: string): number {
  const text = execFileSync('openssl', ['storeutl', '-noout', '-certs', path], { encoding: 'utf8' });
  return Number(/Total found: (\d+)/.exec(text)?.[1]);
}

it('publishes the authority, and with it the system’s roots of today', async () => {
  const { cert } = await makeAuthority('localhost', 'tests', new Date());
  const files = trustFiles(dir);
  const [some, more] = [rootCertificates.slice(0, 3).join('\n'), rootCertificates.slice(0, 5).join('\n')];
  await publish(files, cert, some);
  expect(await readFile(files.authorityFile, 'utf8')).toBe(cert);
  expect([count(files.authorityFile), count(files.bundleFile)]).toEqual([1, 4]);
  const { ino } = await stat(files.bundleFile);
  await publish(files, cert, some);
  expect((await stat(files.bundleFile)).ino).toBe(ino);
  await publish(files, cert, more);
  expect(count(files.bundleFile)).toBe(6);
  // `islet trust --system` has made it one of the system's.
  await publish(files, cert, `${more}\n${cert}`);
  expect(count(files.bundleFile)).toBe(6);
  expect((await readdir(dir)).sort()).toEqual(['authority.pem', 'bundle.pem']);
});

it('finds the system’s roots, or takes those of Node.js', async () => {
  const [none, empty, full] = ['none', 'empty', 'full'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(empty, '');
  await writeFile(full, rootCertificates[0] ?? '');
  expect(await readSystemRoots([none, empty, full])).toBe(rootCertificates[0]);
  expect(await readSystemRoots([none, empty])).toBe(rootCertificates.join('\n'));
});

it('lets every user read what is public, and nothing else, whatever the umask is and older Islets did', async () => {
  await chmod(dir, 0o700);
  await mkdir(join(dir, 'db'));
  await chmod(join(dir, 'db'), 0o777);
  const elsewhere = await mkdtemp(join(tmpdir(), 'islet-elsewhere-'));
  await chmod(elsewhere, 0o755);
  await symlink(elsewhere, join(dir, 'artifacts'));
  // The operator's own, if the data directory has other things in it.
  await mkdir(join(dir, 'other'), { mode: 0o755 });
  const umask = process.umask(0o077);
  try {
    const folder = await openPublicFolder(dir, 'https');
    await publish(trustFiles(folder), 'CERT\n', 'ROOTS\n');
  } finally {
    process.umask(umask);
  }
  expect(await Promise.all(['', 'db', 'other', 'https'].map((name) => modeOf(join(dir, name))))).toEqual([
    0o711, 0o700, 0o755, 0o755,
  ]);
  expect(await modeOf(elsewhere)).toBe(0o755);
  const asNobody = (command: string) =>
    execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', command], {
      cwd: '/',
      encoding: 'utf8',
      env: { ...process.env, D: dir },
    });
  expect(asNobody('cat "$D/https/bundle.pem"')).toBe('ROOTS\nCERT\n');
  expect(asNobody('(ls "$D/db" || ls "$D") 2>/dev/null || echo closed')).toBe('closed\n');
  await rm(elsewhere, { recursive: true });
});
