import { CommandExitError, GitAuthError, GitUpstreamError, InvalidArgumentError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { rejection, sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const author = { authorName: 'Ada', authorEmail: 'ada@example.org' };

/** A new repository on branch `main` with one commit of `README.md`. */
async function repository(path: string): Promise<string> {
  const { git, files } = sandbox.current;
  await git.init(path, { initialBranch: 'main' });
  await files.write(`${path}/README.md`, 'first\n');
  await git.add(path);
  await git.commit(path, 'First', author);
  return path;
}

/** A bare repository and a clone of it that has pushed one commit. */
async function cloned(name: string): Promise<{ bare: string; path: string }> {
  const { git } = sandbox.current;
  const bare = `/home/user/${name}.git`;
  await git.init(bare, { bare: true, initialBranch: 'main' });
  const path = await repository(`/home/user/${name}`);
  await git.remoteAdd(path, 'origin', bare);
  await git.push(path, { remote: 'origin', branch: 'main' });
  return { bare, path };
}

const log = async (path: string, format = '%s') =>
  (await sandbox.current.commands.run(`git -C ${path} log --format='${format}'`)).stdout
    .trimEnd()
    .split('\n');

describe('init, add, commit and status', () => {
  it('make a repository and follow what changes in it', async () => {
    const { git, files } = sandbox.current;
    const path = '/home/user/followed';
    expect((await git.init(path, { initialBranch: 'trunk' })).exitCode).toBe(0);
    await files.write([
      { path: `${path}/one.txt`, data: '1' },
      { path: `${path}/two words.txt`, data: '2' },
    ]);
    expect(await git.status(path)).toMatchObject({
      currentBranch: 'trunk',
      isClean: false,
      hasUntracked: true,
      hasStaged: false,
      untrackedCount: 2,
    });
    await git.add(path, { files: ['one.txt'] });
    expect(await git.status(path)).toMatchObject({ hasStaged: true, stagedCount: 1, untrackedCount: 1 });
    await git.add(path);
    await git.commit(path, 'It\'s "quoted" $HOME\n\nand long', author);
    expect(await git.status(path)).toMatchObject({ isClean: true, totalCount: 0, detached: false });
    expect(await log(path, '%an|%ae|%s')).toEqual(['Ada|ada@example.org|It\'s "quoted" $HOME']);
    await files.write(`${path}/one.txt`, 'changed');
    await files.remove(`${path}/two words.txt`);
    const { fileStatus } = await git.status(path);
    expect(fileStatus.map(({ name, status }) => [name, status])).toEqual([
      ['one.txt', 'modified'],
      // As git prints it.
      ['"two words.txt"', 'deleted'],
    ]);
  });

  it('commit nothing only when asked to', async () => {
    const path = await repository('/home/user/nothing');
    const error = await rejection(sandbox.current.git.commit(path, 'Nothing', author));
    expect(error).toBeInstanceOf(CommandExitError);
    expect((error as CommandExitError).stdout).toContain('nothing to commit');
    await sandbox.current.git.commit(path, 'Still nothing', { ...author, allowEmpty: true });
    expect(await log(path)).toEqual(['Still nothing', 'First']);
  });

  it('fail if there is no repository', async () => {
    const error = await rejection(sandbox.current.git.status('/tmp'));
    expect(error).toMatchObject({ exitCode: 128, stderr: expect.stringContaining('not a git repository') });
  });
});

describe('branches', () => {
  it('are made, listed, changed and deleted', async () => {
    const { git, files } = sandbox.current;
    const path = await repository('/home/user/branched');
    await git.createBranch(path, 'feature/a');
    expect(await git.branches(path)).toEqual({ branches: ['feature/a', 'main'], currentBranch: 'feature/a' });
    await files.write(`${path}/a.txt`, 'a');
    await git.add(path);
    await git.commit(path, 'On a', author);
    await git.checkoutBranch(path, 'main');
    expect(await files.exists(`${path}/a.txt`)).toBe(false);
    expect(await rejection(git.deleteBranch(path, 'feature/a'))).toMatchObject({
      stderr: expect.stringContaining('not fully merged'),
    });
    await git.deleteBranch(path, 'feature/a', { force: true });
    expect(await git.branches(path)).toEqual({ branches: ['main'], currentBranch: 'main' });
  });

  it('fail if there is none of that name', async () => {
    const path = await repository('/home/user/branchless');
    expect(await rejection(sandbox.current.git.checkoutBranch(path, 'nowhere'))).toMatchObject({
      exitCode: 1,
    });
    expect(await rejection(sandbox.current.git.deleteBranch(path, 'nowhere'))).toMatchObject({ exitCode: 1 });
  });
});

describe('reset and restore', () => {
  it('take changes back', async () => {
    const { git, files } = sandbox.current;
    const path = await repository('/home/user/undone');
    await files.write(`${path}/README.md`, 'second\n');
    await git.add(path);
    await git.restore(path, { paths: ['README.md'], staged: true });
    expect(await git.status(path)).toMatchObject({ hasStaged: false, unstagedCount: 1 });
    await git.restore(path, { paths: ['README.md'] });
    expect(await files.read(`${path}/README.md`)).toBe('first\n');
    await git.commit(path, 'Empty', { ...author, allowEmpty: true });
    await git.reset(path, { mode: 'hard', target: 'HEAD~1' });
    expect(await log(path)).toEqual(['First']);
    await files.write(`${path}/new`, 'x');
    await git.add(path);
    await git.reset(path, { paths: ['new'] });
    expect(await git.status(path)).toMatchObject({ hasStaged: false, untrackedCount: 1 });
  });
});

describe('config', () => {
  it('is set and read, globally and for one repository', async () => {
    const { git } = sandbox.current;
    const path = await repository('/home/user/configured');
    expect(await git.getConfig('user.name')).toBeUndefined();
    await git.configureUser('Global', 'global@example.org');
    await git.setConfig('pull.rebase', 'true', { scope: 'local', path });
    await git.configureUser('Local', 'local@example.org', { scope: 'local', path });
    expect(await git.getConfig('user.name')).toBe('Global');
    expect(await git.getConfig('user.email', { scope: 'local', path })).toBe('local@example.org');
    expect(await git.getConfig('pull.rebase', { scope: 'local', path })).toBe('true');
    expect(await git.getConfig('pull.rebase')).toBeUndefined();
    await git.commit(path, 'By the local one', { allowEmpty: true });
    expect((await log(path, '%an'))[0]).toBe('Local');
    expect(await rejection(git.setConfig('a.b', 'c', { scope: 'local' }))).toBeInstanceOf(
      InvalidArgumentError,
    );
  });

  it('of another user is another', async () => {
    const { git } = sandbox.current;
    await git.setConfig('user.name', 'Root', { user: 'root' });
    expect(await git.getConfig('user.name', { user: 'root' })).toBe('Root');
    expect(await git.getConfig('user.name')).not.toBe('Root');
  });
});

describe('remotes', () => {
  it('are added, replaced and read', async () => {
    const { git } = sandbox.current;
    const path = await repository('/home/user/remotes');
    expect(await git.remoteGet(path, 'origin')).toBeUndefined();
    await git.remoteAdd(path, 'origin', 'https://example.org/a.git');
    expect(await git.remoteGet(path, 'origin')).toBe('https://example.org/a.git');
    await expect(git.remoteAdd(path, 'origin', 'https://example.org/b.git')).rejects.toThrow();
    await git.remoteAdd(path, 'origin', 'https://example.org/b.git', { overwrite: true });
    expect(await git.remoteGet(path, 'origin')).toBe('https://example.org/b.git');
  });

  it('are pushed to, cloned and pulled from', async () => {
    const { git, files } = sandbox.current;
    const { bare, path } = await cloned('shared');
    expect(await git.status(path)).toMatchObject({ upstream: 'origin/main', ahead: 0, behind: 0 });
    const copy = '/home/user/shared-copy';
    await git.clone(bare, { path: copy });
    expect(await files.read(`${copy}/README.md`)).toBe('first\n');
    await files.write(`${path}/more.txt`, 'more');
    await git.add(path);
    await git.commit(path, 'More', author);
    expect(await git.status(path)).toMatchObject({ ahead: 1 });
    await git.push(path);
    await git.pull(copy);
    expect(await files.read(`${copy}/more.txt`)).toBe('more');
    await git.createBranch(path, 'side');
    await git.push(path, { remote: 'origin', branch: 'side' });
    const shallow = '/home/user/shared-shallow';
    await git.clone(`file://${bare}`, { path: shallow, branch: 'side', depth: 1 });
    expect(await git.branches(shallow)).toEqual({ branches: ['side'], currentBranch: 'side' });
    expect(await log(shallow)).toEqual(['More']);
  });

  it('are told from missing ones', async () => {
    const { git } = sandbox.current;
    const path = await repository('/home/user/lonely');
    expect(await rejection(git.pull(path))).toBeInstanceOf(GitUpstreamError);
    await expect(git.push(path)).rejects.toThrow();
    expect(await rejection(git.clone('/no/such/repository', { path: '/tmp/none' }))).toMatchObject({
      exitCode: 128,
    });
  });
});

describe('a remote that asks for a password', () => {
  /** A server in the sandbox that answers 401, and keeps what it was sent. */
  async function serve(): Promise<string> {
    const { files, commands } = sandbox.current;
    await files.write(
      '/home/user/asking.py',
      `import http.server
class Asking(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open('/tmp/authorization', 'a') as log: log.write(str(self.headers.get('Authorization')) + '\\n')
        self.send_response(401)
        self.send_header('WWW-Authenticate', 'Basic realm="git"')
        self.send_header('Content-Length', '0')
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', 8418), Asking).serve_forever()
`,
    );
    await commands.run('python3 asking.py', { background: true, timeoutMs: 0 });
    await until(
      'the server listens',
      10_000,
      async () =>
        (await commands.run('curl -s -o /dev/null -w "%{http_code}" localhost:8418 || true')).stdout,
      (code) => code === '401',
    );
    return 'http://localhost:8418/repository.git';
  }

  it('is an error of its own, with and without credentials', async () => {
    const { git, files } = sandbox.current;
    const url = await serve();
    expect(await rejection(git.clone(url, { path: '/tmp/asked' }))).toBeInstanceOf(GitAuthError);
    const credentials = { username: 'ada', password: 'pass word' };
    expect(await rejection(git.clone(url, { path: '/tmp/asked', ...credentials }))).toBeInstanceOf(
      GitAuthError,
    );
    const sent = Buffer.from('ada:pass word').toString('base64');
    expect(await files.read('/tmp/authorization')).toContain(`Basic ${sent}`);
    expect(await rejection(git.clone(url, { password: 'x' }))).toBeInstanceOf(InvalidArgumentError);
  });

  it('gets what was stored for it', async () => {
    const { git, commands } = sandbox.current;
    await git.dangerouslyAuthenticate({ username: 'ada', password: 'stored', host: 'example.org' });
    const { stdout } = await commands.run(
      'printf "protocol=https\\nhost=example.org\\n\\n" | git credential fill',
    );
    expect(stdout).toContain('username=ada\npassword=stored\n');
  });
});
