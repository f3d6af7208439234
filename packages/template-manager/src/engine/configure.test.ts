import { execFileSync } from 'node:child_process';
import { chmod, chown, lchown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isStillConfigured } from './configure.ts';

describe.runIf(process.getuid?.() === 0)('whether a base is still configured', () => {
  let dir: string;
  let base: string;
  let layer: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-configure-'));
    [base, layer] = [join(dir, 'base'), join(dir, 'layer')];
    await mkdir(layer);
    await mkdir(join(base, 'etc'), { recursive: true });
    await writeFile(join(base, 'etc/passwd'), 'user:x:1000:1000::/home/user:/bin/bash\n');
  });
  afterEach(() => rm(dir, { recursive: true }));

  const look = () => isStillConfigured([base], [base, layer]);
  const put = async (path: string, { mode = 0o644, owner = 0 } = {}) => {
    await mkdir(join(layer, path, '..'), { recursive: true });
    await writeFile(join(layer, path), '');
    await chmod(join(layer, path), mode);
    await chown(join(layer, path), owner, owner);
  };
  const folder = async (path: string, { mode = 0o755, owner = 0 } = {}) => {
    await mkdir(join(layer, path), { recursive: true });
    await chmod(join(layer, path), mode);
    await chown(join(layer, path), owner, owner);
  };

  it('it is if nothing was written that belongs to it', async () => {
    expect(await look()).toBe(true);
    await put('etc/motd');
    await put('srv/data');
    await folder('home/user', { owner: 1000 });
    await put('home/user/own', { owner: 1000 });
    execFileSync('mknod', [join(layer, 'home/user/removed'), 'c', '0', '0']);
    await folder('usr/local', { mode: 0o777 });
    await put('usr/local/tool', { mode: 0o777 });
    await symlink('/nowhere', join(layer, 'usr/local/link'));
    expect(await look()).toBe(true);
  });

  it.each([
    ['an account was added', () => put('etc/passwd')],
    ['a group was', () => put('etc/group')],
    ['what sudo allows was changed', () => put('etc/sudoers.d/other')],
    ['root left a file at home', () => put('home/user/of-root')],
    [
      'root left a link at home',
      async () => {
        await folder('home/user', { owner: 1000 });
        await symlink('x', join(layer, 'home/user/link'));
        await lchown(join(layer, 'home/user/link'), 0, 0);
      },
    ],
    ['something was installed', () => put('usr/local/bin/tool', { mode: 0o755 })],
    ['/code has become narrow', () => folder('code')],
    ['the home was removed', () => whiteout('home/user')],
    ['/usr/local was', () => whiteout('usr/local')],
    ['a link has taken the place of /home', () => symlink('/srv', join(layer, 'home'))],
    [
      'what was in /etc is hidden',
      async () => {
        await mkdir(join(dir, 'work'));
        await mkdir(join(dir, 'mount'));
        const mount = `mount -t overlay overlay -o lowerdir=${base},upperdir=${layer},workdir=${dir}/work ${dir}/mount`;
        const script = `${mount} && cd ${dir}/mount && rm -r etc && mkdir etc`;
        execFileSync('unshare', ['--mount', 'sh', '-ec', script]);
      },
    ],
  ])('it is not if %s', async (_, change) => {
    await change();
    expect(await look()).toBe(false);
  });

  it('is not known if the user lives elsewhere, or the layers were merged', async () => {
    expect(await isStillConfigured([base], [layer])).toBe(false);
    await writeFile(join(base, 'etc/passwd'), 'user:x:1000:1000::/srv:/bin/bash\n');
    expect(await look()).toBe(false);
  });

  async function whiteout(path: string): Promise<void> {
    await mkdir(join(layer, path, '..'), { recursive: true });
    execFileSync('mknod', [join(layer, path), 'c', '0', '0']);
  }
});
