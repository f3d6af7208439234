import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mergeLayers } from './merge.ts';

/** What overlayfs makes of a script is what the merge has to make. */
describe.runIf(process.getuid?.() === 0)('merging layers', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-merge-'));
    for (const name of ['lower', 'upper', 'work', 'top', 'mount', 'merged']) await mkdir(join(dir, name));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const inOverlay = (upper: string, lowers: string[], script: string) => {
    const options = `lowerdir=${lowers.join(':')},upperdir=${upper},workdir=work,redirect_dir=off,metacopy=off`;
    const command = `mount -t overlay overlay -o ${options} mount && cd mount && ${script}`;
    return execFileSync('unshare', ['--mount', 'sh', '-ec', command], { cwd: dir, encoding: 'utf8' });
  };
  // Node sets times of directories to the microsecond at best, and sizes of directories mean nothing.
  const LIST = "find . -type d -printf '%p %y %m %U\\n' -o -printf '%p %y %m %U %s %l %T@\\n' | sort";

  it('gives what overlayfs shows: removed, replaced, emptied, renamed', async () => {
    const script = [
      'mkdir -p kept/deep gone emptied moved && echo a > kept/a && echo b > kept/deep/b && echo c > gone/c',
      'echo d > emptied/d && ln -s a kept/link && echo e > file && mkdir tree && echo f > tree/f && echo g > moved/g',
    ].join('\n');
    execFileSync('sh', ['-ec', script], { cwd: join(dir, 'lower') });
    const change = [
      'rm -r gone && rm kept/deep/b && rm -r emptied && mkdir emptied && echo new > emptied/new && chmod 1777 kept',
      'rm file && mkdir file && echo in > file/in && rm -r tree && echo now > tree && mv moved elsewhere && chown 7 kept/a',
    ].join('\n');
    inOverlay('upper', ['lower'], change);
    const shown = inOverlay('top', ['upper', 'lower'], LIST);
    const { signal } = new AbortController();
    await mergeLayers([join(dir, 'lower'), join(dir, 'upper')], join(dir, 'merged'), signal);
    expect(execFileSync('sh', ['-ec', LIST], { cwd: join(dir, 'merged'), encoding: 'utf8' })).toBe(shown);
    expect(await readdir(join(dir, 'merged/emptied'))).toEqual(['new']);
  });

  it('gives the same on another file system, by copies', async () => {
    const script =
      'mkdir -p tree/deep gone && echo a > tree/deep/a && ln tree/deep/a twin && echo b > gone/b && chown 7:8 twin';
    execFileSync('sh', ['-ec', script], { cwd: join(dir, 'lower') });
    inOverlay(
      'upper',
      ['lower'],
      'rm -r gone tree && mkdir tree && echo c > tree/c && mkfifo pipe && chmod 4711 twin',
    );
    const shown = inOverlay('top', ['upper', 'lower'], LIST);
    const elsewhere = join(dir, 'merged');
    execFileSync('mount', ['-t', 'tmpfs', 'islet-merge', elsewhere]);
    try {
      const target = join(elsewhere, 'target');
      await mkdir(target);
      const { signal } = new AbortController();
      await mergeLayers([join(dir, 'lower'), join(dir, 'upper')], target, signal);
      expect(execFileSync('sh', ['-ec', LIST], { cwd: target, encoding: 'utf8' })).toBe(shown);
      expect(await readdir(join(target, 'tree'))).toEqual(['c']);
      expect(await readdir(elsewhere)).toEqual(['target']);
    } finally {
      execFileSync('umount', [elsewhere]);
    }
  });

  it('copies no file', async () => {
    await writeFile(join(dir, 'lower/file'), 'x');
    await mergeLayers([join(dir, 'lower')], join(dir, 'merged'), new AbortController().signal);
    expect((await stat(join(dir, 'merged/file'))).ino).toBe((await lstat(join(dir, 'lower/file'))).ino);
  });
});
