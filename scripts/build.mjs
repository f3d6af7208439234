// Builds dist/, or the folder below the checkout that is named: the command line (islet.mjs), the files it reads
// (migrations, templates), and what it brings of the files that every sandbox sees at /opt/islet. Nothing in it depends
// on this machine; node and its libraries are added when Islet starts.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleCommandLine } from './command-line.mjs';
import { layOutTemplates } from './templates.mjs';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = resolve(process.argv[2] ?? join(root, 'dist'));
/** Another start may be between its entry and its chunks: those of an older build are kept for a while. */
const OLD_CHUNK_MS = 60 * 60 * 1000;

/** Names of chunks change with their content; the entry comes last. */
async function buildCommandLine(version) {
  const staged = await mkdtemp(join(dist, '.cli-'));
  try {
    await bundleCommandLine(version, staged);
    const chunks = join(dist, 'islet');
    await mkdir(chunks, { recursive: true });
    const made = await readdir(join(staged, 'islet'));
    for (const name of made) await rename(join(staged, 'islet', name), join(chunks, name));
    for (const name of await readdir(chunks)) {
      const { mtimeMs } = await stat(join(chunks, name));
      if (!made.includes(name) && Date.now() - mtimeMs > OLD_CHUNK_MS) await rm(join(chunks, name));
    }
    for (const name of ['islet.mjs.map', 'islet.mjs']) await rename(join(staged, name), join(dist, name));
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** What sandboxes get of Islet: envd, the part of the template manager that runs in builds, tools of ready commands. */
async function layOutGuest(dir) {
  const { bundleEnvd } = await import('../packages/envd/bundle.mjs');
  const { bundleInside } = await import('../packages/template-manager/bundle.mjs');
  await Promise.all([
    bundleEnvd(join(dir, 'envd')),
    bundleInside(join(dir, 'build')),
    cp(join(root, 'packages/template-manager/ready'), join(dir, 'ready'), { recursive: true }),
  ]);
}

/** An empty cluster of PGlite, which new databases start from; it lasts until what it is made by changes. */
async function buildCluster() {
  const program = join(root, 'scripts/cluster.mjs');
  const pglite = await readFile(join(root, 'node_modules/@electric-sql/pglite/package.json'));
  const maker = createHash('sha256')
    .update(pglite)
    .update(await readFile(program))
    .digest('hex');
  const [archive, note] = [join(dist, 'cluster.tar.gz'), join(dist, '.cluster')];
  const made = await readFile(note, 'utf8').catch(() => '');
  if (made === maker && existsSync(archive)) return;
  const staged = await mkdtemp(join(dist, '.cluster-'));
  try {
    await run(process.execPath, [program, join(staged, 'data')]);
    const alike = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=go='];
    const zip = ['--use-compress-program', 'gzip -n'];
    await run('tar', ['-cf', join(staged, 'archive'), ...alike, ...zip, '-C', join(staged, 'data'), '.']);
    await rename(join(staged, 'archive'), archive);
    await writeFile(note, maker);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** Puts the folder that `lay` fills into the place of the one that is there. */
async function putFolder(name, lay) {
  const staged = join(dist, `.${name}`);
  await rm(staged, { recursive: true, force: true });
  await mkdir(staged);
  await lay(staged);
  await rm(join(dist, name), { recursive: true, force: true });
  await rename(staged, join(dist, name));
}

const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
  if (/^\.(cli|cluster)-/.test(name)) await rm(join(dist, name), { recursive: true, force: true });
}
// The stamp bears the time before the first source was read: a change during the build makes the next start build
// again.
await writeFile(join(dist, '.stamp.new'), '');
await Promise.all([
  buildCommandLine(version),
  buildCluster(),
  putFolder('guest', layOutGuest),
  putFolder('migrations', (to) => cp(join(root, 'packages/db/migrations'), to, { recursive: true })),
  putFolder('templates', (to) => layOutTemplates(join(root, 'templates'), to)),
]);
await rename(join(dist, '.stamp.new'), join(dist, '.stamp'));
