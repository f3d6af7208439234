import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FilesystemEvent, FilesystemEventType } from 'e2b';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually, OTHER_USER, openFilesOf, startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
let directory: string;
let counter = 0;
beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());
beforeEach(() => {
  directory = join(daemon.directory, `case-${++counter}`);
  mkdirSync(directory);
});

const call = (method: string, body: object) => daemon.rpc(`filesystem.Filesystem/${method}`, body);

describe('an entry', () => {
  it('tells type, size, mode, owner and time of a file', async () => {
    const path = join(directory, 'file');
    writeFileSync(path, '12345');
    chmodSync(path, 0o4751);
    const { body } = await call('Stat', { path });
    expect(body.entry).toEqual({
      name: 'file',
      type: 'FILE_TYPE_FILE',
      path,
      size: '5',
      mode: 0o751,
      permissions: 'urwxr-x--x',
      owner: 'root',
      group: 'root',
      modifiedTime: expect.any(String),
    });
    const seconds = Date.parse(String(body.entry?.modifiedTime));
    expect(Math.abs(seconds - lstatSync(path).mtimeMs)).toBeLessThan(1);
  });

  it('of a link shows what it leads to', async () => {
    const target = join(directory, 'target');
    mkdirSync(target);
    symlinkSync('target', join(directory, 'link'));
    symlinkSync('nowhere', join(directory, 'dangling'));
    expect((await call('Stat', { path: join(directory, 'link') })).body.entry).toMatchObject({
      type: 'FILE_TYPE_DIRECTORY',
      mode: 0o755,
      permissions: 'Lrwxrwxrwx',
      symlinkTarget: target,
    });
    const dangling = (await call('Stat', { path: join(directory, 'dangling') })).body.entry;
    expect(dangling).toMatchObject({ symlinkTarget: join(directory, 'dangling') });
    expect(dangling).not.toHaveProperty('type');
    expect(dangling).not.toHaveProperty('mode');
  });

  it('that is missing is not found', async () => {
    expect(await call('Stat', { path: '/no/such' })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    expect(await daemon.sandbox.files.exists('/no/such')).toBe(false);
  });
});

describe('a listing', () => {
  it('goes as deep as asked, in lexical order, and does not follow inner links', async () => {
    for (const path of ['b/inner/deepest', 'a']) mkdirSync(join(directory, path), { recursive: true });
    writeFileSync(join(directory, 'b/file'), '');
    symlinkSync('b', join(directory, 'c'));
    const names = async (depth?: number) =>
      (await daemon.sandbox.files.list(directory, depth ? { depth } : {})).map((entry) =>
        entry.path.slice(directory.length + 1),
      );
    expect(await names()).toEqual(['a', 'b', 'c']);
    expect(await names(2)).toEqual(['a', 'b', 'b/file', 'b/inner', 'c']);
    expect(await names(9)).toEqual(['a', 'b', 'b/file', 'b/inner', 'b/inner/deepest', 'c']);
  });

  it('through a link keeps the asked path', async () => {
    mkdirSync(join(directory, 'real/sub'), { recursive: true });
    const link = join(directory, 'link');
    symlinkSync('real', link);
    expect((await daemon.sandbox.files.list(link)).map((entry) => entry.path)).toEqual([`${link}/sub`]);
  });

  it.each([
    ['a missing directory', () => '/no/such', 404, 'not_found'],
    ['a file', () => '/etc/passwd', 400, 'invalid_argument'],
    ['a loop of links', () => symlinkLoop(), 400, 'failed_precondition'],
  ])('of %s is refused', async (_case, path, status, code) => {
    expect(await call('ListDir', { path: path() })).toMatchObject({ status, body: { code } });
  });

  function symlinkLoop(): string {
    symlinkSync('loop', join(directory, 'loop'));
    return join(directory, 'loop');
  }
});

describe('directories', () => {
  it('are made with those above, for the user, once', async () => {
    const path = join(directory, 'x/y');
    expect(await daemon.sandbox.files.makeDir(path, { user: OTHER_USER })).toBe(true);
    expect((await call('Stat', { path })).body.entry).toMatchObject({
      owner: OTHER_USER,
      permissions: 'drwxr-xr-x',
    });
    expect((await call('Stat', { path: join(directory, 'x') })).body.entry).toMatchObject({
      owner: OTHER_USER,
    });
    expect(await daemon.sandbox.files.makeDir(path)).toBe(false);
    expect(await call('MakeDir', { path: '/etc/passwd' })).toMatchObject({
      status: 400,
      body: { code: 'invalid_argument' },
    });
  });

  it('are removed with all in them, and removing nothing is no error', async () => {
    const path = join(directory, 'tree/inner');
    mkdirSync(path, { recursive: true });
    await daemon.sandbox.files.remove(join(directory, 'tree'));
    expect(await daemon.sandbox.files.exists(path)).toBe(false);
    await daemon.sandbox.files.remove(path);
  });
});

describe('a move', () => {
  it('renames, replaces files and makes the directory it goes to', async () => {
    const from = join(directory, 'from');
    const to = join(directory, 'new/to');
    writeFileSync(from, 'content');
    expect(await daemon.sandbox.files.rename(from, to)).toMatchObject({ path: to, type: 'file' });
    writeFileSync(from, 'second');
    await daemon.sandbox.files.rename(from, to);
    expect(await daemon.sandbox.files.read(to)).toBe('second');
    await expect(daemon.sandbox.files.rename(from, to)).rejects.toThrow(/not_found/);
  });

  it('works across mounts, with owners, modes and links', async () => {
    const mount = join(directory, 'mount');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mount]);
    try {
      mkdirSync(join(mount, 'tree/sub'), { recursive: true });
      writeFileSync(join(mount, 'tree/sub/file'), 'content', { mode: 0o640 });
      symlinkSync('sub/file', join(mount, 'tree/link'));
      execFileSync('chown', ['-R', OTHER_USER, join(mount, 'tree')]);
      await daemon.sandbox.files.rename(join(mount, 'tree'), join(directory, 'moved'));
      expect(await daemon.sandbox.files.exists(join(mount, 'tree'))).toBe(false);
      expect((await call('Stat', { path: join(directory, 'moved/sub/file') })).body.entry).toMatchObject({
        owner: OTHER_USER,
        mode: 0o640,
        size: '7',
      });
      expect(await daemon.sandbox.files.read(join(directory, 'moved/link'))).toBe('content');
    } finally {
      execFileSync('umount', [mount]);
    }
  });
});

describe('a watch', () => {
  const watch = async (options: Parameters<typeof daemon.sandbox.files.watchDir>[2] = {}) => {
    const events: FilesystemEvent[] = [];
    const handle = await daemon.sandbox.files.watchDir(
      directory,
      (event) => void events.push(event),
      options,
    );
    const told = () => events.map((event) => `${event.type} ${event.name}`);
    return {
      handle,
      events,
      told,
      see: (text: string) => eventually(() => told().includes(text), `${text} in ${told()}`),
    };
  };

  it('tells what happens to the files of a directory', async () => {
    const { handle, see, told } = await watch();
    writeFileSync(join(directory, 'f'), 'x');
    await see('write f');
    chmodSync(join(directory, 'f'), 0o600);
    await see('chmod f');
    renameSync(join(directory, 'f'), join(directory, 'g'));
    await see('create g');
    rmSync(join(directory, 'g'));
    await see('remove g');
    expect(told()[0]).toBe('create f');
    expect(told()).toContain('rename f');
    await handle.stop();
  });

  it('that is recursive follows directories that come later and stops with those that leave', async () => {
    mkdirSync(join(directory, 'old'));
    const { handle, see, told } = await watch({ recursive: true });
    writeFileSync(join(directory, 'old/a'), '');
    await see('create old/a');
    mkdirSync(join(directory, 'n1/n2/n3'), { recursive: true });
    await see('create n1/n2/n3');
    writeFileSync(join(directory, 'n1/n2/n3/late'), '');
    await see('create n1/n2/n3/late');
    renameSync(join(directory, 'n1'), join(directory, 'moved'));
    await see('create moved');
    writeFileSync(join(directory, 'moved/n2/after'), '');
    await see('create moved/n2/after');
    expect(told().filter((event) => event === 'create n1/n2/n3')).toHaveLength(1);
    expect(told().some((event) => event.includes('n1/n2/after'))).toBe(false);
    await handle.stop();
  });

  it('that is not recursive leaves what is below out', async () => {
    mkdirSync(join(directory, 'sub'));
    const { handle, see, told } = await watch();
    writeFileSync(join(directory, 'sub/hidden'), '');
    writeFileSync(join(directory, 'seen'), '');
    await see('create seen');
    expect(told().some((event) => event.includes('hidden'))).toBe(false);
    await handle.stop();
  });

  it('attaches the entry if asked', async () => {
    const { handle, see, events } = await watch({ includeEntry: true });
    writeFileSync(join(directory, 'f'), 'x');
    await see('write f');
    const created = events.find((event) => event.type === FilesystemEventType.CREATE);
    expect(created?.entry).toMatchObject({ path: join(directory, 'f'), type: 'file' });
    await handle.stop();
  });

  it('is refused if there is no directory', async () => {
    await expect(daemon.sandbox.files.watchDir('/no/such', () => {})).rejects.toThrow(/not_found/);
    await expect(daemon.sandbox.files.watchDir('/etc/passwd', () => {})).rejects.toThrow(/invalid_argument/);
  });

  it('frees its instance when its client leaves', async () => {
    const instances = () =>
      openFilesOf(daemon.pid).filter((file) => file.includes('anon_inode:inotify')).length;
    const before = instances();
    const { handle } = await watch({ recursive: true });
    expect(instances()).toBe(before + 1);
    await handle.stop();
    await eventually(() => instances() === before, 'the instance to be freed');
  });

  it('by polling keeps events until they are fetched', async () => {
    const { body } = await call('CreateWatcher', { path: directory });
    expect(body.watcherId).toMatch(/^w[0-9a-f]{20}$/);
    writeFileSync(join(directory, 'polled'), 'x');
    const events = await eventually(async () => {
      const answer = await call('GetWatcherEvents', { watcherId: body.watcherId });
      return answer.body.events;
    }, 'events');
    expect(events[0]).toEqual({ name: 'polled', type: 'EVENT_TYPE_CREATE' });
    expect((await call('RemoveWatcher', { watcherId: body.watcherId })).status).toBe(200);
    for (const method of ['GetWatcherEvents', 'RemoveWatcher']) {
      expect(await call(method, { watcherId: body.watcherId })).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
    }
  });
});
