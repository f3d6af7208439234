import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';
import { normalize, ROOT } from './stage.ts';

interface RootManifest {
  version: string;
  description: string;
  license: string;
  engines: Record<string, string>;
}

/** What the root's package.json says of Islet. */
export async function manifest(): Promise<RootManifest> {
  return JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as RootManifest;
}

/**
 * Makes the package for npm: it depends on no other, so that it is installed without a network and builds nothing.
 * @param staged what `stage` has laid out
 * @param work an empty folder
 * @returns the tarball
 */
export async function makeNpmPackage(
  staged: string,
  work: string,
  outDir: string,
  epoch: number,
): Promise<string> {
  const { version, description, license, engines } = await manifest();
  await cp(staged, work, { recursive: true });
  const content = {
    name: 'islet',
    version,
    description,
    license,
    type: 'module',
    bin: { islet: 'islet' },
    engines,
    os: ['linux'],
    cpu: [process.arch],
    libc: ['glibc'],
  };
  await writeFile(join(work, 'package.json'), `${JSON.stringify(content, undefined, 2)}\n`);
  await normalize(work, epoch);
  const [packed] = JSON.parse(
    await run('npm', ['pack', work, '--json', '--ignore-scripts', '--pack-destination', outDir]),
  ) as [{ filename: string }];
  return join(outDir, packed.filename);
}
