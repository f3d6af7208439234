import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IN_IMAGE, makeLayerImage, takeFromImage } from './layer-image.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';

const MIB = 1024 ** 2;
const signal = new AbortController().signal;

describe.runIf(process.getuid?.() === 0)('the image that a layer is written to', () => {
  let dir: string;
  const at = (...names: string[]) => join(dir, ...names);
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-image-'));
    for (const name of ['seed', 'point', 'layer', 'lower']) await mkdir(at(name));
    for (const name of Object.values(IN_IMAGE)) await mkdir(at('seed', name));
  });
  afterEach(() => rm(dir, { recursive: true }));

  /** Runs a script in an overlay on the image, as a build's sandbox is on it. */
  const inMachine = (script: string) => {
    const options = 'lowerdir=lower,upperdir=point/upper,workdir=point/work';
    const mounts = `mount -o loop disk.img point && mount -t overlay overlay -o ${options} lower`;
    const command = ['--mount', 'sh', '-ec', `${mounts} && cd lower && ${script}`];
    return execFileSync('unshare', command, { cwd: dir, encoding: 'utf8' });
  };
  const take = () => takeFromImage(at('disk.img'), at('point'), at('layer'), signal);

  it('gives the layer back as it was written: links, marks, owners, modes, what it began with', async () => {
    await writeFile(at('lower/old'), 'old');
    await mkdir(at('lower/folder'));
    await writeFile(at('seed/upper/archive'), 'there before', { mode: 0o600 });
    await makeLayerImage(at('disk.img'), at('seed'), 32 * MIB, signal);
    inMachine(
      'rm old; rm -r folder; mkdir folder; echo x > folder/one; ln folder/one two; ln -s one folder/link; chown 12:34 two; chmod 4711 two; chmod 750 .',
    );
    await take();
    const one = await stat(at('layer/folder/one'));
    expect(one).toMatchObject({ nlink: 2, uid: 12, gid: 34, mode: 0o104711 });
    expect((await stat(at('layer/two'))).ino).toBe(one.ino);
    expect((await lstat(at('layer/folder/link'))).isSymbolicLink()).toBe(true);
    expect(isWhiteout(await lstat(at('layer/old')))).toBe(true);
    expect(isOpaque(at('layer/folder'))).toBe(true);
    expect((await stat(at('layer'))).mode & 0o777).toBe(0o750);
    expect(await readFile(at('layer/archive'), 'utf8')).toBe('there before');
    expect((await stat(at('layer/archive'))).mode & 0o777).toBe(0o600);
  });

  it('takes what it has room for, no more, and leaves nothing mounted', async () => {
    const room = 64 * MIB;
    await makeLayerImage(at('disk.img'), at('seed'), room, signal);
    const said = inMachine(
      '! cat /dev/zero > endless; stat -c %s endless; rm endless; seq 4000 | xargs touch',
    );
    expect(Number(said)).toBeGreaterThan(room);
    expect(Number(said)).toBeLessThan(room + 4 * MIB);
    expect((await stat(at('disk.img'))).blocks * 512).toBeLessThan(room + 5 * MIB);
    await take();
    expect(execFileSync('losetup', ['--associated', at('disk.img')], { encoding: 'utf8' })).toBe('');
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  });
});
