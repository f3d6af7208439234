import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

interface GuestScript {
  installGuestTools(guestDir: string, readyDir: string): Promise<void>;
  installGuestRuntime(guestDir: string): Promise<void>;
  replaceIfChanged(staged: string, target: string): Promise<void>;
}
const path = join(dirname(fileURLToPath(import.meta.url)), '../../../scripts/guest.mjs');
const { installGuestRuntime, installGuestTools, replaceIfChanged }: GuestScript = await import(path);

describe('the guest files', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-guest-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("run this machine's node through their own dynamic linker, and stay untouched when laid out again", async () => {
    await installGuestRuntime(dir);
    const lib = join(dir, 'lib');
    const linker = (await readdir(lib)).find((name) => name.startsWith('ld-')) ?? '';
    const command = ['--library-path', lib, join(dir, 'node'), '-p', 'process.version'];
    expect(execFileSync(join(lib, linker), command, { encoding: 'utf8' }).trim()).toBe(process.version);

    const before = await stat(join(dir, 'node'));
    await writeFile(join(lib, 'libgone.so.1'), '');
    await installGuestRuntime(dir);
    const after = await stat(join(dir, 'node'));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(await readdir(lib)).not.toContain('libgone.so.1');
  });

  it('have a shell and tools that need nothing of an image', async () => {
    await installGuestTools(dir, join(dirname(path), '../packages/template-manager/ready'));
    // An empty root: a program that loaded anything would not start.
    const run = (program: string, ...args: string[]) =>
      execFileSync('unshare', ['--map-root-user', 'chroot', join(dir, 'bin'), program, ...args], {
        encoding: 'utf8',
      });
    expect(run('/bash', '-c', 'echo "$BASH"')).toBe('/bash\n');
    expect(run('/busybox', 'basename', '/a/b')).toBe('b\n');
  });

  it('can be reached by every user, and keep their times where their content is the same', async () => {
    const target = join(dir, 'envd');
    const stage = async (content: string) => {
      const staged = await mkdtemp(join(dir, 'staged-'));
      await mkdir(join(staged, 'sub'));
      await writeFile(join(staged, 'envd.mjs'), content);
      await chmod(join(staged, 'envd.mjs'), 0o600);
      return staged;
    };
    await replaceIfChanged(await stage('one'), target);
    const first = await stat(join(target, 'envd.mjs'));
    expect([(await stat(target)).mode & 0o777, first.mode & 0o777]).toEqual([0o755, 0o644]);
    await replaceIfChanged(await stage('one'), target);
    expect((await stat(join(target, 'envd.mjs'))).ino).toBe(first.ino);
    await replaceIfChanged(await stage('two'), target);
    expect((await stat(join(target, 'envd.mjs'))).ino).not.toBe(first.ino);
  });
});
