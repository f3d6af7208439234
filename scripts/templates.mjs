// Lays out the templates that ship with Islet, so that a start needs neither the SDK nor a compiler: what the SDK would send of each
// (template.json), what it is called (about.json), and the archives of its COPY steps, each under the hash of its content.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, lstat, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Template } from 'e2b';
import { build } from 'esbuild';
import { create } from 'tar';

/**
 * The files of `base` are under those of every other template, and `generate.mjs`, if a template has one, makes more of them.
 * @param {string} from one folder a template: template.ts and the files that it copies
 * @param {string} outDir empty; below the checkout, where the SDK is found
 */
export async function layOutTemplates(from, outDir) {
  for (const name of await readdir(from)) {
    const dir = join(outDir, name);
    await cp(join(from, 'base/files'), join(dir, 'files'), { recursive: true });
    await cp(join(from, name), dir, { recursive: true });
    const generator = join(from, name, 'generate.mjs');
    if (existsSync(generator))
      await (await import(pathToFileURL(generator).href)).generate(join(dir, 'files'));
    await layOut(join(from, name), dir);
  }
}

async function layOut(source, dir) {
  const module = join(dir, 'template.mjs');
  await build({
    entryPoints: [join(source, 'template.ts')],
    outfile: module,
    bundle: true,
    packages: 'external',
    format: 'esm',
    logLevel: 'warning',
  });
  const { template, size, about } = await import(pathToFileURL(module).href);
  const written = JSON.parse(await Template.toJSON(template, false));
  for (const step of written.steps) {
    if (step.type !== 'COPY') continue;
    const archive = await pack(dir, step.args[0]);
    step.filesHash = createHash('sha256').update(archive).digest('hex');
    await writeFile(join(dir, `${step.filesHash}.tar`), archive);
  }
  await writeFile(join(dir, 'template.json'), JSON.stringify({ ...size, template: written }));
  await writeFile(join(dir, 'about.json'), JSON.stringify(about));
  for (const made of ['template.ts', 'template.mjs', 'generate.mjs', 'README.md'])
    await rm(join(dir, made), { force: true });
}

/** The same bytes for the same files, whoever checked them out, when and under which umask. */
async function pack(dir, source) {
  const paths = [];
  for await (const path of walk(dir, source)) {
    paths.push(path);
    const { mode } = await lstat(join(dir, path));
    const kind = mode & 0o170000;
    if (kind !== 0o120000) await chmod(join(dir, path), kind === 0o040000 || mode & 0o100 ? 0o755 : 0o644);
  }
  const chunks = [];
  const options = { cwd: dir, portable: true, noMtime: true, noDirRecurse: true };
  for await (const chunk of create(options, paths)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* walk(dir, path) {
  yield path;
  if (!(await lstat(join(dir, path))).isDirectory()) return;
  for (const name of (await readdir(join(dir, path))).sort()) yield* walk(dir, `${path}/${name}`);
}
