import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { accountOf, isFolder } from './stack-view.ts';

/** The layers are overlayfs's own. */
describe.runIf(process.getuid?.() === 0)('what the host sees of layers', () => {
  let dir: string;
  let stack: string[];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-view-'));
    stack = [await layer('empty')];
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function layer(name: string): Promise<string> {
    await mkdir(join(dir, name));
    return join(dir, name);
  }

  /** A new layer with what a script writes. */
  async function put(script: string): Promise<void> {
    const upper = await layer(`layer-${stack.length}`);
    const [work, mount] = [await layer(`work-${stack.length}`), await layer(`mount-${stack.length}`)];
    const lower = [...stack].reverse().join(':');
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work},redirect_dir=off,metacopy=off`;
    const command = `mount -t overlay overlay -o ${options} ${mount} && cd ${mount} && ${script}`;
    execFileSync('unshare', ['--mount', 'sh', '-ec', command]);
    stack.push(upper);
  }

  it('is no user of an account file that would take all memory to read', async () => {
    await put(
      'mkdir etc && echo user:x:1:2::/home/user:/bin/sh > etc/passwd && truncate --size=3G etc/passwd',
    );
    expect(await accountOf(stack, 'user')).toBeUndefined();
  });

  it('is a user of the topmost account file', async () => {
    expect(await accountOf(stack, 'user')).toBeUndefined();
    await put('mkdir etc && echo user:x:1:2::/home/user:/bin/sh > etc/passwd');
    await put('touch etc/other');
    expect(await accountOf(stack, 'user')).toEqual({ name: 'user', uid: 1, gid: 2, home: '/home/user' });
    expect(await accountOf(stack, 'other')).toBeUndefined();
    await put('echo other:x:3:4::/:/bin/sh > etc/passwd');
    expect(await accountOf(stack, 'user')).toBeUndefined();
    expect(await accountOf(stack, 'other')).toMatchObject({ uid: 3 });
    await put('rm etc/passwd');
    expect(await accountOf(stack, 'other')).toBeUndefined();
  });

  it('is a user whose file is no link', async () => {
    await put('mkdir etc && ln -s /etc/passwd etc/passwd');
    expect(await accountOf(stack, 'root')).toBeUndefined();
    await put('rm -r etc && ln -s /etc etc');
    expect(await accountOf(stack, 'root')).toBeUndefined();
  });

  it('is a folder that no layer above has taken away', async () => {
    expect(await isFolder(stack, '/')).toBe(true);
    expect(await isFolder(stack, '/srv/app')).toBe(false);
    await put('mkdir -p srv/app && touch srv/file && ln -s / link');
    await put('mkdir -p srv/app/deep');
    expect(await isFolder(stack, '/srv/app')).toBe(true);
    expect(await isFolder(stack, '/srv/app/deep')).toBe(true);
    expect(await isFolder(stack, '/srv/file')).toBe(false);
    expect(await isFolder(stack, '/srv/file/below')).toBe(false);
    expect(await isFolder(stack, '/link')).toBe(false);
    expect(await isFolder(stack, '/link/etc')).toBe(false);
    await put('rm -r srv/app');
    expect(await isFolder(stack, '/srv/app')).toBe(false);
    expect(await isFolder(stack, '/srv/app/deep')).toBe(false);
    await put('rm -r srv && mkdir srv');
    expect(await isFolder(stack, '/srv')).toBe(true);
    expect(await isFolder(stack, '/srv/app')).toBe(false);
  });
});
