import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from './harness.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
});
afterAll(() => daemon?.stop());

it('keeps a repository through the SDK', async () => {
  const { git, files } = daemon.sandbox;
  const origin = join(daemon.directory, 'origin.git');
  const work = join(daemon.directory, 'work');
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', origin]);
  await git.init(work, { initialBranch: 'main' });
  await files.write(join(work, 'a.txt'), 'first');
  expect((await git.status(work)).fileStatus.map((file) => file.name)).toEqual(['a.txt']);
  await git.add(work);
  await git.commit(work, 'Add a', { authorName: 'A', authorEmail: 'a@example.com' });
  await git.createBranch(work, 'other');
  expect((await git.branches(work)).currentBranch).toBe('other');
  await git.remoteAdd(work, 'origin', origin);
  await git.push(work, { remote: 'origin', branch: 'other' });

  const copy = join(daemon.directory, 'copy');
  await git.clone(origin, { path: copy, branch: 'other' });
  expect(await files.read(join(copy, 'a.txt'))).toBe('first');
  await expect(
    git.clone(join(daemon.directory, 'nothing'), { path: join(daemon.directory, 'x') }),
  ).rejects.toThrow();
});
