import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { GUEST_PROGRAM } from '../../scripts/guest-program.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * Writes `gateway.mjs`, and below `servers` a folder for each server that comes with it; they need nothing else but Node.
 * @param {string} outDir
 */
export async function bundleGateway(outDir) {
  const knownServers = await readKnownServers(outDir);
  await bundle(join(here, 'src/main.ts'), join(outDir, 'gateway.mjs'));
  for (const [name, npm] of knownServers) await bundleServer(npm, join(outDir, 'servers', name));
}

/** The list is the gateway's own, which is TypeScript. */
async function readKnownServers(outDir) {
  await mkdir(outDir, { recursive: true });
  const { outputFiles } = await build({
    ...GUEST_PROGRAM,
    entryPoints: [join(here, 'src/servers/known.ts')],
    write: false,
  });
  const file = join(outDir, 'known-servers.mjs');
  await writeFile(file, outputFiles[0].contents);
  const { knownServers } = await import(pathToFileURL(file).href);
  await rm(file);
  return knownServers;
}

async function bundleServer(npm, dir) {
  const home = packageDir(npm);
  const { bin } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
  const entry = typeof bin === 'string' ? bin : Object.values(bin)[0];
  await bundle(join(home, entry), join(dir, 'bin/index.mjs'));
  await mkdir(dir, { recursive: true });
  // What the servers read beside their programs: their version, and the texts of `everything`.
  await cp(join(home, 'package.json'), join(dir, 'package.json'));
  const docs = join(home, dirname(entry), 'docs');
  await cp(docs, join(dir, 'docs'), { recursive: true }).catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

function packageDir(npm) {
  const paths = createRequire(import.meta.url).resolve.paths(npm) ?? [];
  const found = paths.map((path) => join(path, npm)).find((path) => existsSync(path));
  if (!found) throw new Error(`${npm} is not installed: run npm ci`);
  return found;
}

const bundle = (entry, outfile) => build({ ...GUEST_PROGRAM, entryPoints: [entry], outfile });
