import { execFileSync } from 'node:child_process';
import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHostExec } from '@islet/host';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installGuest, removeUnusedGuests } from './guest.ts';
import { type GuestSources, STATIC_TOOLS } from './guest-files.ts';

const host = openHostExec();
afterAll(() => host.close());

describe('the guest files', () => {
  let root: string;
  let guests: string;
  let sources: GuestSources;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'islet-guest-'));
    guests = join(root, 'kept/guests');
    const shippedDir = join(root, 'shipped');
    await mkdir(join(shippedDir, 'envd'), { recursive: true, mode: 0o700 });
    await writeFile(join(shippedDir, 'envd/envd.mjs'), 'one', { mode: 0o600 });
    sources = { shippedDir, node: process.execPath, staticTools: STATIC_TOOLS };
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const install = (change: Partial<GuestSources> = {}) =>
    installGuest({ ...sources, ...change }, guests, host.exec);

  it("run this machine's node through their own dynamic linker", async () => {
    const { dir } = await install();
    const lib = join(dir, 'lib');
    const linker = (await readdir(lib)).find((name) => name.startsWith('ld-')) ?? '';
    const command = ['--library-path', lib, join(dir, 'node'), '-p', 'process.version'];
    expect(execFileSync(join(lib, linker), command, { encoding: 'utf8' }).trim()).toBe(process.version);
  });

  it('have a shell and tools that need nothing of an image', async () => {
    const { dir } = await install();
    // An empty root: a program that loaded anything would not start.
    const run = (program: string, ...args: string[]) =>
      execFileSync('unshare', ['--map-root-user', 'chroot', join(dir, 'bin'), program, ...args], {
        encoding: 'utf8',
      });
    expect(run('/bash', '-c', 'echo "$BASH"')).toBe('/bash\n');
    expect(run('/busybox', 'basename', '/a/b')).toBe('b\n');
  });

  it('leave out a tool that is not there, and one that loads libraries', async () => {
    const { dir } = await install({ staticTools: { gone: join(root, 'gone'), node: process.execPath } });
    expect(await readdir(join(dir, 'bin'))).toEqual([]);
  });

  it('can be reached by every user, whatever the rights of what they are made of', async () => {
    const { dir } = await install();
    const mode = async (path: string) => (await stat(join(dir, path))).mode & 0o777;
    expect(await Promise.all(['.', 'envd', 'envd/envd.mjs', 'node', 'volumes'].map(mode))).toEqual([
      0o755, 0o755, 0o644, 0o755, 0o755,
    ]);
  });

  it('are another guest when the content of what ships differs, even with the same size and time', async () => {
    const file = join(sources.shippedDir, 'envd/envd.mjs');
    const time = new Date('1985-10-26');
    await utimes(file, time, time);
    const first = await install();
    await writeFile(file, 'two');
    await utimes(file, time, time);
    expect((await install()).digest).not.toBe(first.digest);
    await writeFile(file, 'one');
    expect(await install()).toEqual(first);
  });

  it('are the same guest on every machine that has the same programs, wherever and since when they are there', async () => {
    const node = join(root, 'node');
    await copyFile(process.execPath, node);
    await chmod(node, 0o755);
    const first = await install({ node });
    const [other, later] = [join(root, 'other'), new Date(Date.now() + 60_000)];
    await rename(node, other);
    await utimes(other, later, later);
    expect(await install({ node: other })).toEqual(first);
  });

  it('are another guest when another node runs Islet, and the old one stays as it was', async () => {
    const node = join(root, 'node');
    await copyFile(process.execPath, node);
    await chmod(node, 0o755);
    const first = await install({ node });
    const before = await stat(join(first.dir, 'node'));
    await appendFile(node, 'x');
    const second = await install({ node });
    expect(second.digest).not.toBe(first.digest);
    const after = await stat(join(first.dir, 'node'));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    await removeUnusedGuests(guests, new Set([second.digest]));
    expect(await readdir(guests)).toEqual([second.digest]);
  });
});
