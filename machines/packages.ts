import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './process/run.ts';

const ROOT = join(import.meta.dirname, '..');

/** A package of Islet that a machine may install. */
export interface Package {
  name: string;
  bytes: Buffer;
}

/** Makes a package of this checkout as it is, by the command that the docs name. */
export async function makePackage(kind: 'npm' | 'debian', signal: AbortSignal): Promise<Package> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-package-'));
  try {
    const command = ['npm', 'run', '--silent', 'package', '--', '--only', kind, '--out', dir, '--json'];
    const printed = await run(command, { signal, cwd: ROOT });
    const [made] = (JSON.parse(printed) as { packages: { file: string }[] }).packages;
    if (!made) throw new Error(`npm run package made nothing:\n${printed}`);
    return { name: made.file.slice(dir.length + 1), bytes: await readFile(made.file) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
