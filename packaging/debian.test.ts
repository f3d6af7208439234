import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeDebianPackage } from './debian.ts';
import { ROOT } from './stage.ts';

const EPOCH = 1_767_225_600;

/** Made of a few files in place of all that Islet has: what is tested is the package. */
describe.runIf(process.getuid?.() === 0)('the Debian package', () => {
  let dir: string;
  let umask: number;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-deb-'));
    umask = process.umask();
  });
  afterEach(async () => {
    process.umask(umask);
    await rm(dir, { recursive: true, force: true });
  });

  async function make(name: string): Promise<string> {
    const [staged, work] = [join(dir, name, 'staged'), join(dir, name, 'work')];
    for (const folder of [join(staged, 'dist'), join(staged, 'docs'), work]) {
      await mkdir(folder, { recursive: true });
    }
    await writeFile(join(staged, 'islet'), '#!/bin/sh\n', { mode: 0o755 });
    await writeFile(join(staged, 'dist/islet.mjs'), `console.log(".help\\n-\\\\-")`);
    for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE', 'LICENSES.txt', 'docs/install.md']) {
      await writeFile(join(staged, file), file);
    }
    return makeDebianPackage(staged, work, join(dir, name), EPOCH);
  }

  const dpkg = (...args: string[]) => execFileSync('dpkg-deb', args, { encoding: 'utf8' });
  const lines = (text: string) => text.split('\n').filter(Boolean);

  it('depends on what the launcher would install, and on the node that it wants', async () => {
    const depends = dpkg('--field', await make('one'), 'Depends')
      .trim()
      .split(', ');
    // The launcher itself is asked, with a list whose packages are all missing.
    const root = join(dir, 'checkout');
    await mkdir(join(root, 'packaging'), { recursive: true });
    await copyFile(join(ROOT, 'islet'), join(root, 'islet'));
    const list = await readFile(join(ROOT, 'packaging/system-packages'), 'utf8');
    await writeFile(
      join(root, 'packaging/system-packages'),
      list.replaceAll(/^(\w+ +\S+ +)\S+/gm, `$1${join(dir, 'gone')}`),
    );
    const asked = execFileSync('sh', ['-c', '"$0" up --no-install 2>&1 || true', join(root, 'islet')], {
      encoding: 'utf8',
    });
    const missing = [...asked.matchAll(/islet: missing: (\S+)/g)].map(([, name]) => name as string);
    expect(missing).toContain('runsc');
    expect(depends).toEqual(expect.arrayContaining(missing.filter((name) => name !== 'util-linux')));
    const engines = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).engines.node.slice(2);
    expect(depends).toContain(`nodejs (>= ${engines})`);
  });

  it('is the same whatever the umask of who makes it', async () => {
    process.umask(0o022);
    const first = await make('one');
    process.umask(0o077);
    const second = await make('two');
    expect((await readFile(second)).equals(await readFile(first))).toBe(true);
    const files = lines(dpkg('--contents', first));
    expect(files.filter((line) => !/^([d-]rwxr-xr-x|-rw-r--r--|lrwxrwxrwx) root\/root /.test(line))).toEqual(
      [],
    );
  });

  it('keeps what an administrator wrote, and starts with the machine', async () => {
    const file = await make('one');
    dpkg('--control', file, join(dir, 'control'));
    dpkg('--extract', file, join(dir, 'root'));
    expect(await readFile(join(dir, 'control/conffiles'), 'utf8')).toBe('/etc/islet/islet.conf\n');
    expect(await readFile(join(dir, 'root/etc/islet/islet.conf'), 'utf8')).toMatch(/^#ISLET_HOST=/m);
    const unit = await readFile(join(dir, 'root/usr/lib/systemd/system/islet.service'), 'utf8');
    expect(unit).toMatch(/^ExecStart="\/usr\/lib\/islet\/islet" up$/m);
    expect(execFileSync(join(dir, 'root/usr/bin/islet'), { encoding: 'utf8' })).toBe('');
    execFileSync('md5sum', ['--check', '--quiet', join(dir, 'control/md5sums')], { cwd: join(dir, 'root') });
    for (const script of ['postinst', 'prerm', 'postrm']) {
      execFileSync('sh', ['-n', join(dir, 'control', script)]);
    }
  });

  it('has a page of the manual that shows the help as it is', async () => {
    dpkg('--extract', await make('one'), join(dir, 'root'));
    const page = execFileSync('zcat', [join(dir, 'root/usr/share/man/man8/islet.8.gz')], {
      encoding: 'utf8',
    });
    expect(page).toContain('\n\\&.help\n\\-\\e\\-\n');
  });
});
