import { FileNotFoundError, InvalidArgumentError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();

describe('list', () => {
  it('gives the entries of one folder with everything that is known of them', async () => {
    const { files, commands } = sandbox.current;
    await commands.run(`mkdir -p listed/sub/deeper && cd listed && printf 12345 > file && chmod 640 file &&
      ln -s file link && touch -d '2020-01-02T03:04:05Z' file && echo x > sub/inner && echo y > sub/deeper/last`);
    const entries = await files.list('listed');
    expect(entries.map(({ name }) => name)).toEqual(['file', 'link', 'sub']);
    expect(entries[0]).toEqual({
      name: 'file',
      type: 'file',
      path: '/home/user/listed/file',
      size: 5,
      mode: 0o640,
      permissions: '-rw-r-----',
      owner: 'user',
      group: 'user',
      modifiedTime: new Date('2020-01-02T03:04:05Z'),
      symlinkTarget: undefined,
      metadata: undefined,
    });
    expect(entries[1]).toMatchObject({
      type: 'file',
      permissions: 'Lrwxrwxrwx',
      symlinkTarget: '/home/user/listed/file',
    });
    expect(entries[2]).toMatchObject({ type: 'dir', permissions: 'drwxr-xr-x', mode: 0o755 });
  });

  it.each([
    [1, ['file', 'link', 'sub']],
    [2, ['file', 'link', 'sub', 'sub/deeper', 'sub/inner']],
    [3, ['file', 'link', 'sub', 'sub/deeper', 'sub/deeper/last', 'sub/inner']],
    [100, ['file', 'link', 'sub', 'sub/deeper', 'sub/deeper/last', 'sub/inner']],
  ])('to depth %i', async (depth, expected) => {
    const entries = await sandbox.current.files.list('listed', { depth });
    expect(entries.map(({ path }) => path)).toEqual(expected.map((path) => `/home/user/listed/${path}`));
  });

  it('of an empty folder is empty', async () => {
    await sandbox.current.files.makeDir('bare');
    expect(await sandbox.current.files.list('bare')).toEqual([]);
  });

  it('follows a link that is the folder itself, and keeps the path that was asked for', async () => {
    await sandbox.current.commands.run('ln -sn listed shortcut');
    const entries = await sandbox.current.files.list('shortcut');
    expect(entries.map(({ path }) => path)).toContain('/home/user/shortcut/file');
  });

  it('leaves out links that lead nowhere', async () => {
    await sandbox.current.commands.run(
      'mkdir -p dangling && ln -s /no/where dangling/link && touch dangling/x',
    );
    expect((await sandbox.current.files.list('dangling')).map(({ name }) => name)).toEqual(['x']);
  });

  it('shows hidden files, and names of all kinds', async () => {
    const { files } = sandbox.current;
    const names = ['.hidden', 'a b', 'ünï 漢 🏝', 'quote\'"\\', '-rf', 'line\nbreak', '100%', '$HOME'];
    for (const name of names) await files.write(`odd/${name}`, name, { useOctetStream: true });
    expect((await files.list('odd')).map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    for (const name of names) expect(await files.read(`odd/${name}`)).toBe(name);
    expect((await sandbox.current.commands.run('ls -A odd -1 --zero | tr -cd "\\0" | wc -c')).stdout).toBe(
      '8\n',
    );
  });

  it('gives 2,000 entries', async () => {
    await sandbox.current.commands.run('mkdir -p crowd && cd crowd && seq 2000 | xargs touch');
    expect(await sandbox.current.files.list('crowd')).toHaveLength(2_000);
  });

  it('as another user starts at that user’s home', async () => {
    await sandbox.current.files.write('/root/rooted/x', '1', { user: 'root' });
    const entries = await sandbox.current.files.list('rooted', { user: 'root' });
    expect(entries).toMatchObject([{ path: '/root/rooted/x', owner: 'root' }]);
  });

  it('fails if there is no folder', async () => {
    expect(await rejection(sandbox.current.files.list('no-such-folder'))).toBeInstanceOf(FileNotFoundError);
  });

  it('fails for a file', async () => {
    const error = await rejection(sandbox.current.files.list('/etc/passwd'));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toContain('path is not a directory: /etc/passwd');
  });

  it('fails for a depth of 0', async () => {
    expect(await rejection(sandbox.current.files.list('listed', { depth: 0 }))).toBeInstanceOf(
      InvalidArgumentError,
    );
  });
});

describe('getInfo and exists', () => {
  it('tell of a file', async () => {
    const { files } = sandbox.current;
    const before = Date.now();
    await files.write('info.txt', 'four');
    const info = await files.getInfo('info.txt');
    expect(info).toMatchObject({
      name: 'info.txt',
      path: '/home/user/info.txt',
      type: 'file',
      size: 4,
      mode: 0o644,
      permissions: '-rw-r--r--',
      owner: 'user',
      group: 'user',
    });
    // The sandbox has the clock of its machine; a second is the coarsest file time.
    expect(Math.abs((info.modifiedTime as Date).getTime() - before)).toBeLessThan(30_000);
    expect(await files.exists('info.txt')).toBe(true);
  });

  it('tell of a folder, of the root and of special permissions', async () => {
    const { files } = sandbox.current;
    expect(await files.getInfo('/')).toMatchObject({ name: '/', path: '/', type: 'dir', owner: 'root' });
    expect(await files.getInfo('/tmp')).toMatchObject({
      type: 'dir',
      mode: 0o777,
      permissions: 'dtrwxrwxrwx',
    });
    expect(await files.exists('/tmp')).toBe(true);
  });

  it('tell of a link what it leads to', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('mkdir -p led && ln -sn led to-dir && ln -s /no/where lost');
    expect(await files.getInfo('to-dir')).toMatchObject({
      type: 'dir',
      name: 'to-dir',
      symlinkTarget: '/home/user/led',
    });
    const lost = await files.getInfo('lost');
    expect(lost.type).toBeUndefined();
    expect(lost).toMatchObject({ name: 'lost', mode: 0, symlinkTarget: '/home/user/lost' });
    expect(await files.exists('lost')).toBe(true);
  });

  it('number an owner without a name', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('touch owned && chown 4321:8765 owned', { user: 'root', cwd: '/home/user' });
    expect(await files.getInfo('owned')).toMatchObject({ owner: '4321', group: '8765' });
  });

  it('show metadata that was set in the sandbox', async () => {
    const { files, commands } = sandbox.current;
    await files.write('attributed', 'x');
    await commands.run(`python3 -c "import os; os.setxattr('attributed', 'user.e2b.tag', b'v')"`);
    expect((await files.getInfo('attributed')).metadata).toEqual({ tag: 'v' });
  });

  it('say that a path is not there', async () => {
    const { files } = sandbox.current;
    expect(await files.exists('nothing/here')).toBe(false);
    const error = await rejection(files.getInfo('nothing/here'));
    expect(error).toBeInstanceOf(FileNotFoundError);
    expect((error as Error).message).toContain('file not found');
  });
});

describe('makeDir', () => {
  it('makes a folder and those above it, once', async () => {
    const { files } = sandbox.current;
    expect(await files.makeDir('made/by/sdk')).toBe(true);
    expect(await files.makeDir('made/by/sdk')).toBe(false);
    expect(await files.getInfo('made/by')).toMatchObject({ type: 'dir', owner: 'user', mode: 0o755 });
  });

  it('makes one for another user', async () => {
    const { files } = sandbox.current;
    expect(await files.makeDir('of-root', { user: 'root' })).toBe(true);
    expect(await files.getInfo('/root/of-root')).toMatchObject({ owner: 'root', group: 'root' });
  });

  it('fails where a file is', async () => {
    await sandbox.current.files.write('taken', 'x');
    expect(await rejection(sandbox.current.files.makeDir('taken'))).toBeInstanceOf(InvalidArgumentError);
    await expect(sandbox.current.files.makeDir('taken/below')).rejects.toThrow();
  });
});

describe('rename', () => {
  it('moves a file and tells what it is now', async () => {
    const { files } = sandbox.current;
    await files.write('before.txt', 'moved');
    expect(await files.rename('before.txt', 'after.txt')).toMatchObject({
      name: 'after.txt',
      path: '/home/user/after.txt',
      type: 'file',
      size: 5,
    });
    expect(await files.exists('before.txt')).toBe(false);
    expect(await files.read('after.txt')).toBe('moved');
  });

  it('moves a folder with what is in it, to folders that are made for it', async () => {
    const { files } = sandbox.current;
    await files.write('tree/leaf', '1');
    expect(await files.rename('tree', '/tmp/new/place/tree')).toMatchObject({ type: 'dir' });
    expect(await files.read('/tmp/new/place/tree/leaf')).toBe('1');
  });

  it('replaces a file', async () => {
    const { files } = sandbox.current;
    await files.write([
      { path: 'winner', data: 'new' },
      { path: 'loser', data: 'old' },
    ]);
    await files.rename('winner', 'loser');
    expect(await files.read('loser')).toBe('new');
  });

  it('fails if there is nothing', async () => {
    expect(await rejection(sandbox.current.files.rename('absent', 'elsewhere'))).toBeInstanceOf(
      FileNotFoundError,
    );
  });
});

describe('remove', () => {
  it('removes a file, a folder with all in it, and a link but not what it leads to', async () => {
    const { files, commands } = sandbox.current;
    await commands.run('mkdir -p gone/deep && touch gone/deep/x lone kept && ln -s kept link-to-kept');
    for (const path of ['lone', 'gone', 'link-to-kept']) {
      await files.remove(path);
      expect(await files.exists(path)).toBe(false);
    }
    expect(await files.exists('kept')).toBe(true);
  });

  it('removes what is root’s', async () => {
    await sandbox.current.commands.run('touch /opt/of-root', { user: 'root' });
    await sandbox.current.files.remove('/opt/of-root');
    expect(await sandbox.current.files.exists('/opt/of-root')).toBe(false);
  });

  it('of nothing is no error', async () => {
    await sandbox.current.files.remove('never-was');
  });
});
