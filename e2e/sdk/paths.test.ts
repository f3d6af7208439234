import { AuthenticationError, InvalidArgumentError, SandboxError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();

describe('a path', () => {
  it.each([
    ['relative.txt', '/home/user/relative.txt'],
    ['./dot/../plain.txt', '/home/user/plain.txt'],
    ['~/home.txt', '/home/user/home.txt'],
    ['/tmp/absolute.txt', '/tmp/absolute.txt'],
    ['sub/with space/ü 漢 🏝.txt', '/home/user/sub/with space/ü 漢 🏝.txt'],
    ['a+b&c=d?e#f%20g;h,i.txt', '/home/user/a+b&c=d?e#f%20g;h,i.txt'],
    ['"quoted" \'name\' \\ back.txt', '/home/user/"quoted" \'name\' \\ back.txt'],
    [`${'n'.repeat(255)}`, `/home/user/${'n'.repeat(255)}`],
  ])('%s is %s to every call', async (path, absolute) => {
    const { files, commands } = sandbox.current;
    expect((await files.write(path, path, { useOctetStream: true })).path).toBe(absolute);
    expect(await files.read(path)).toBe(path);
    expect(await files.exists(path)).toBe(true);
    expect((await files.getInfo(path)).path).toBe(absolute);
    expect((await commands.run('cat "$FILE"', { envs: { FILE: absolute } })).stdout).toBe(path);
    await files.remove(path);
    expect(await files.exists(absolute)).toBe(false);
  });

  it('in a multi-part upload keeps its folders and letters', async () => {
    const { files } = sandbox.current;
    const paths = ['parts/a b/ü.txt', '/tmp/parts/漢 🏝.txt', 'parts/per%cent.txt'];
    const written = await files.write(paths.map((path) => ({ path, data: path })));
    expect(written.map(({ path }) => path)).toEqual([
      '/home/user/parts/a b/ü.txt',
      '/tmp/parts/漢 🏝.txt',
      '/home/user/parts/per%cent.txt',
    ]);
    for (const path of paths) expect(await files.read(path)).toBe(path);
  });

  it('goes up with `..` and never out of the sandbox', async () => {
    const { files } = sandbox.current;
    expect((await files.write('../../tmp/up.txt', 'x')).path).toBe('/tmp/up.txt');
    expect(await files.read('/../../../../../../etc/hostname')).toBe(await files.read('/etc/hostname'));
    expect((await files.getInfo('../../../../../..')).path).toBe('/');
  });

  it('relative to another user starts at that user’s home', async () => {
    expect((await sandbox.current.files.getInfo('.', { user: 'root' })).path).toBe('/root');
    expect((await sandbox.current.files.getInfo('~', { user: 'root' })).path).toBe('/root');
    expect((await sandbox.current.files.getInfo('~')).path).toBe('/home/user');
  });
});

/** Every call that takes a path, as a name and what does it. */
const calls: [string, (path: string) => Promise<unknown>][] = [
  ['read', (path) => sandbox.current.files.read(path)],
  ['write as octet-stream', (path) => sandbox.current.files.write(path, 'x', { useOctetStream: true })],
  ['write as multipart', (path) => sandbox.current.files.write(path, 'x')],
  ['list', (path) => sandbox.current.files.list(path)],
  ['getInfo', (path) => sandbox.current.files.getInfo(path)],
  ['exists', (path) => sandbox.current.files.exists(path)],
  ['makeDir', (path) => sandbox.current.files.makeDir(path)],
  ['rename', (path) => sandbox.current.files.rename(path, 'to')],
  ['remove', (path) => sandbox.current.files.remove(path)],
  ['watchDir', (path) => sandbox.current.files.watchDir(path, () => {})],
  ['run with that cwd', (path) => sandbox.current.commands.run('pwd', { cwd: path })],
];

describe.each(calls)('%s', (_, call) => {
  it('refuses a path with NUL', async () => {
    const error = await rejection(call('/tmp/a\0b'));
    expect(error).toBeInstanceOf(InvalidArgumentError);
  });

  it('refuses the home of a user by name', async () => {
    const error = await rejection(call('~root/x'));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain('cannot expand user-specific home dir');
  });
});

describe('a file as a folder on the way', () => {
  it('is an error for each call, and harms nothing', async () => {
    const { files } = sandbox.current;
    for (const [, call] of calls) {
      const outcome = await call('/etc/passwd/x').then(
        (value) => value,
        (error: unknown) => error,
      );
      expect(outcome instanceof SandboxError || outcome === false || outcome === undefined).toBe(true);
    }
    expect(await files.read('/etc/passwd')).toContain('root:x:0:0');
  });

  it('cannot be written over by a folder, nor a folder by a file', async () => {
    const error = await rejection(sandbox.current.files.write('/home/user', 'x'));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain('path is a directory: /home/user');
  });
});

describe('a name of 256 bytes', () => {
  it('is an error', async () => {
    await expect(sandbox.current.files.write('n'.repeat(256), 'x')).rejects.toBeInstanceOf(SandboxError);
    expect(await sandbox.current.isRunning()).toBe(true);
  });
});

describe('a user who does not exist', () => {
  const user = 'nobody-at-all';

  it.each([
    ['read', () => sandbox.current.files.read('/etc/hostname', { user })],
    ['write', () => sandbox.current.files.write('/tmp/x', 'x', { user })],
    ['list', () => sandbox.current.files.list('/tmp', { user })],
    ['getInfo', () => sandbox.current.files.getInfo('/tmp', { user })],
    ['makeDir', () => sandbox.current.files.makeDir('/tmp/dir', { user })],
    ['rename', () => sandbox.current.files.rename('/tmp/x', '/tmp/y', { user })],
    ['remove', () => sandbox.current.files.remove('/tmp/x', { user })],
    ['watchDir', () => sandbox.current.files.watchDir('/tmp', () => {}, { user })],
  ])('is refused by %s', async (_, call) => {
    const error = await rejection(call());
    expect(error).toBeInstanceOf(AuthenticationError);
    expect((error as Error).message).toContain(user);
  });
});
