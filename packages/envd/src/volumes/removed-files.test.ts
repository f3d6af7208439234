import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removedFiles } from './removed-files.ts';

let dir: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'islet-removed-')));
  mkdirSync(join(dir, 'volume/sub'), { recursive: true });
  for (const name of ['a', 'b c']) writeFileSync(join(dir, 'volume', name), 'x');
  writeFileSync(join(dir, 'other'), 'x');
});
afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
  rmSync(dir, { recursive: true });
});

/** A process that has the files open, and stands in `cwd`. */
async function hold(script: string, cwd = dir): Promise<number> {
  child = spawn('bash', ['-c', `${script}; echo ready; read`], { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child.pid as number;
}
const removed = () => removedFiles([join(dir, 'volume')]);

it('are none if all that is open has its name', async () => {
  await hold('exec 3<volume/a 4<"volume/b c" 5<other');
  rmSync(join(dir, 'other'));
  expect(removed()).toEqual([]);
});

it('are those that were removed or replaced, and the directory that was left', async () => {
  const pid = await hold('exec 3<../a 4<"../b c"', join(dir, 'volume/sub'));
  rmSync(join(dir, 'volume/b c'));
  writeFileSync(join(dir, 'new'), 'y');
  renameSync(join(dir, 'new'), join(dir, 'volume/a'));
  rmSync(join(dir, 'volume/sub'), { recursive: true });
  const paths = removed().map((file) => `${file.pid} ${file.path}`);
  expect(paths.sort()).toEqual(['a', 'b c', 'sub'].map((name) => `${pid} ${dir}/volume/${name}`));
});
