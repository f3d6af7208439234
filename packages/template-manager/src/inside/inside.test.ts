import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from 'tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccountFiles } from './accounts.ts';
import { copy } from './copy.ts';
import { configure } from './provision.ts';
import { makeWorkdir } from './workdir.ts';

describe.runIf(process.getuid?.() === 0)('inside a build', () => {
  let root: string;
  let context: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'islet-root-'));
    context = await mkdtemp(join(tmpdir(), 'islet-context-'));
    await mkdir(join(root, 'etc'));
    await mkdir(join(root, 'home/app'), { recursive: true });
    await writeFile(
      join(root, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\napp:x:500:600::/home/app:/bin/sh\n',
    );
    await writeFile(join(root, 'etc/group'), 'root:x:0:\nstaff:x:50:\n');
    await mkdir(join(context, 'src/sub'), { recursive: true });
    await writeFile(join(context, 'src/one'), '1', { mode: 0o755 });
    await writeFile(join(context, 'src/sub/two'), '2');
    await symlink('../outside', join(context, 'src/link'));
  });
  afterEach(async () => {
    for (const dir of [root, context]) await rm(dir, { recursive: true });
  });

  const copying = async (
    source: string,
    destination: string,
    more: { owner?: string; mode?: number; workdir?: string } = {},
  ) => {
    await mkdir(join(root, '.islet-build'));
    await create({ cwd: context, file: join(root, '.islet-build/archive') }, ['src']);
    const { owner, mode, workdir } = more;
    const archive = '/.islet-build/archive';
    const task = { kind: 'copy', archive, source, destination, workdir, user: 'app', owner, mode } as const;
    await copy(task, root).finally(() => rm(join(root, '.islet-build'), { recursive: true, force: true }));
  };
  const at = (path: string) => join(root, path);
  const text = (path: string) => readFile(at(path), 'utf8');

  it.each([
    ['a file to a path', 'src/one', '/opt/name', 'opt/name'],
    ['a file into what ends with a slash', 'src/one', '/opt/', 'opt/one'],
    ['a file into a directory that is there', './src/one', '/home', 'home/one'],
    ['a file relative to the home', 'src/one', 'here', 'home/app/here'],
    ['a directory’s content', 'src', '/opt/app', 'opt/app/one'],
    ['a pattern’s directory', 'src/*', '/opt/app', 'opt/app/one'],
    ['all', '.', '/opt', 'opt/src/one'],
  ])('copies %s', async (_, source, destination, expected) => {
    await copying(source, destination);
    expect(await text(expected)).toBe('1');
    const { uid, gid, mode } = await stat(at(expected));
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 500, gid: 600, mode: 0o755 });
    expect(await readdir(root)).not.toContain('.islet-build');
  });

  it('merges directories, over files and with links as they are', async () => {
    await mkdir(at('srv/sub'), { recursive: true });
    await writeFile(at('srv/sub/two'), 'old');
    await writeFile(at('srv/sub/kept'), 'kept');
    await copying('src', '.', { workdir: '/srv', owner: 'root:staff', mode: 0o700 });
    expect([await text('srv/sub/two'), await text('srv/sub/kept')]).toEqual(['2', 'kept']);
    expect(await readlink(at('srv/link'))).toBe('../outside');
    const { uid, gid, mode } = await stat(at('srv/sub/two'));
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 0, gid: 50, mode: 0o700 });
  });

  it('says what is wrong', async () => {
    await expect(copying('absent', '/x')).rejects.toThrow("'absent' is not in the uploaded files");
    await expect(copying('../etc', '/x')).rejects.toThrow("'../etc' lies outside of the uploaded files");
    await expect(copying('src/one', '/x', { owner: 'nobody:staff' })).rejects.toThrow(
      "there is no user 'nobody'",
    );
    await expect(copying('src/one', '/x', { owner: 'app:none' })).rejects.toThrow("there is no group 'none'");
    await mkdir(at('x/two'), { recursive: true });
    await expect(copying('src/sub', '/x')).rejects.toThrow(/take the place of the directory/);
  });

  it('makes users once, with numbers that are free, and a home that is theirs', async () => {
    const accounts = new AccountFiles(root);
    expect(await accounts.ensure('user')).toEqual({ name: 'user', uid: 1000, gid: 1000, home: '/home/user' });
    expect(await accounts.ensure('other')).toMatchObject({ uid: 1001 });
    expect(await accounts.ensure('app')).toMatchObject({ uid: 500 });
    expect(await accounts.ensure('500')).toEqual({ name: '500', uid: 500, gid: 600, home: '/home/app' });
    await accounts.makeAdmin('user');
    await accounts.makeAdmin('user');
    expect(await text('etc/group')).toContain('sudo:x:27:user\n');
    expect((await text('etc/passwd')).match(/^user:/gm)).toHaveLength(1);
    expect((await stat(at('home/user'))).uid).toBe(1000);
    expect((await stat(at('etc/shadow'))).mode & 0o777).toBe(0o640);
  });

  it('spares sudo a slow question, if it knows how not to ask', async () => {
    const accounts = new AccountFiles(root);
    const rule = 'user ALL=(ALL:ALL) NOPASSWD: ALL\n';
    await accounts.makeAdmin('user');
    expect(await text('etc/sudoers.d/user')).toBe(`Defaults !pam_acct_mgmt\n${rule}`);
    await mkdir(at('usr/lib/sudo'), { recursive: true });
    await writeFile(at('usr/lib/sudo/sudoers.so'), '\0timestamp_type\0');
    await accounts.makeAdmin('user');
    expect(await text('etc/sudoers.d/user')).toBe(rule);
    await writeFile(at('usr/lib/sudo/sudoers.so'), '\0timestamp_type\0pam_acct_mgmt\0');
    await accounts.makeAdmin('user');
    expect(await text('etc/sudoers.d/user')).toBe(`Defaults !pam_acct_mgmt\n${rule}`);
  });

  it('gives only new parts of a working directory to the user', async () => {
    await mkdir(at('var'));
    await makeWorkdir({ kind: 'workdir', path: '/var/a/b', user: 'app' }, root);
    const owner = async (path: string) => (await stat(at(path))).uid;
    expect([await owner('var'), await owner('var/a'), await owner('var/a/b')]).toEqual([0, 500, 500]);
    await writeFile(at('file'), '');
    await expect(makeWorkdir({ kind: 'workdir', path: '/file/a', user: 'app' }, root)).rejects.toThrow(
      /a file is/,
    );
  });

  it('opens what agents install into, and gives a home of the image’s making to nobody', async () => {
    await writeFile(at('etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:500:600::/:/bin/sh\n');
    await mkdir(at('usr/local/lib'), { recursive: true });
    await configure({ kind: 'configure', user: 'user' }, root);
    expect((await stat(at('usr/local/lib'))).mode & 0o777).toBe(0o777);
    expect((await stat(at('etc'))).uid).toBe(0);
  });
});
