// Builds dist/: the command line (islet.mjs), the files it reads (migrations, templates), and the guest files that every
// sandbox sees at /opt/islet (node, its libraries, envd).
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { installGuestRuntime, installGuestTools, replaceIfChanged } from './guest.mjs';
import { layOutTemplates } from './templates.mjs';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
/** Marks a request of the plugin below to itself. */
const resolved = Symbol('resolved');

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

async function bundleCommandLine(version, staged) {
  await build({
    entryPoints: {
      islet: join(root, 'packages/cli/src/main.ts'),
      'islet/volume-server': join(root, 'packages/orchestrator/src/volumes/nfs/main.ts'),
      'islet/checkpoint-reader': join(root, 'packages/orchestrator/src/drivers/gvisor/disarm-main.ts'),
      'islet/archive-inspector': join(root, 'packages/artifacts/src/archive/main.ts'),
      'islet/proxies': join(root, 'packages/cli/src/up/proxies/main.ts'),
    },
    outdir: staged,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'islet/[name]-[hash]',
    bundle: true,
    // A command loads no more than it needs.
    splitting: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
    // Ours go in, npm's stay in node_modules: some are native, and some load files that lie beside them.
    plugins: [{ name: 'npm-external', setup: keepNpmPackagesOutside }],
    define: { ISLET_VERSION: JSON.stringify(version) },
  });
}

/** A package that npm could not put at the root (another version is there) would not be found from dist/: it goes in, too. */
function keepNpmPackagesOutside(builder) {
  builder.onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
    if (kind === 'entry-point' || path.startsWith('@islet/') || pluginData === resolved) return undefined;
    const found = await builder.resolve(path, { kind, resolveDir, importer, pluginData: resolved });
    const nested = found.path.startsWith(root) && !found.path.startsWith(join(root, 'node_modules/'));
    return nested ? found : { path, external: true };
  });
}

async function buildEnvd() {
  const { bundleEnvd } = await import('../packages/envd/bundle.mjs');
  const staged = await mkdtemp(join(dist, '.envd-'));
  try {
    await bundleEnvd(staged);
    await replaceIfChanged(staged, join(dist, 'guest/envd'));
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** The part of the template manager that runs in the sandboxes of builds. */
async function buildInside() {
  const { bundleInside } = await import('../packages/template-manager/bundle.mjs');
  const staged = await mkdtemp(join(dist, '.inside-'));
  try {
    await bundleInside(staged);
    await replaceIfChanged(staged, join(dist, 'guest/build'));
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** An empty cluster of PGlite, which new databases start from; it lasts until PGlite is another version. */
async function buildCluster() {
  const { version } = JSON.parse(
    await readFile(join(root, 'node_modules/@electric-sql/pglite/package.json'), 'utf8'),
  );
  const [archive, note] = [join(dist, 'cluster.tar.gz'), join(dist, '.cluster')];
  const made = await readFile(note, 'utf8').catch(() => '');
  if (made === version && existsSync(archive)) return;
  const { PGlite } = await import('@electric-sql/pglite');
  const staged = await mkdtemp(join(dist, '.cluster-'));
  try {
    const database = await PGlite.create(join(staged, 'data'));
    await database.close();
    await run('tar', ['-czf', join(staged, 'archive'), '-C', join(staged, 'data'), '.']);
    await rename(join(staged, 'archive'), archive);
    await writeFile(note, version);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

/** What `lay` makes of the folder `from`. */
async function putData(from, to, lay) {
  const staged = join(dist, `.${to}`);
  await rm(staged, { recursive: true, force: true });
  await mkdir(staged);
  await lay(join(root, from), staged);
  await rm(join(dist, to), { recursive: true, force: true });
  await rename(staged, join(dist, to));
}

const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
await mkdir(join(dist, 'guest'), { recursive: true });
for (const name of await readdir(dist)) {
  if (/^\.(envd|inside|cli|cluster)-/.test(name))
    await rm(join(dist, name), { recursive: true, force: true });
}
// The stamp bears the time before the first source was read: a change during the build makes the next start build again.
await writeFile(join(dist, '.stamp.new'), '');
await Promise.all([
  buildCommandLine(version),
  buildEnvd().then(() => installGuestRuntime(join(dist, 'guest'))),
  buildInside(),
  buildCluster(),
  installGuestTools(join(dist, 'guest'), join(root, 'packages/template-manager/ready')),
  putData('packages/db/migrations', 'migrations', (from, to) => cp(from, to, { recursive: true })),
  putData('templates', 'templates', layOutTemplates),
]);
await rename(join(dist, '.stamp.new'), join(dist, '.stamp'));
