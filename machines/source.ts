import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from './process/run.ts';

/** This checkout's last commit, as a file that `git clone` takes. */
export interface Source {
  commit: string;
  bundle: string;
  /** What the work tree has beside the commit is not in it. */
  isClean: boolean;
}

const ROOT = join(import.meta.dirname, '..');

export async function bundleSource(dir: string, signal: AbortSignal): Promise<Source> {
  const git = (...args: string[]) => run(['git', '-C', ROOT, ...args], { signal });
  const bundle = join(dir, 'islet.bundle');
  await mkdir(dirname(bundle), { recursive: true });
  await git('bundle', 'create', '--quiet', bundle, 'HEAD');
  return {
    commit: (await git('rev-parse', 'HEAD')).trim(),
    bundle,
    isClean: (await git('status', '--porcelain')).trim() === '',
  };
}

/** The curl command of the README, as it stands there. */
export async function readmeCurl(): Promise<string> {
  const text = await readFile(join(ROOT, 'README.md'), 'utf8');
  const command = /^curl -X POST (?:.*\\\n)*.*$/m.exec(text)?.[0];
  if (!command) throw new Error('the README has no curl command');
  return command;
}
