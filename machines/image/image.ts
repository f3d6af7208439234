import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostNetwork } from '../network.ts';
import { CONFINED, run } from '../process/run.ts';
import { customize, type Recipe } from './recipe.ts';

/** What QEMU boots. The disk is never written: each machine writes into a file of its own that ends with it. */
export interface Image {
  disk: string;
  kernel: string;
  initrd: string;
}

/** Sparse: what a machine may fill. */
const DISK_BYTES = 40 * 1024 ** 3;
/** Images of a name that are kept: the newest, and one that another run may use. */
const KEPT_VERSIONS = 2;

export interface ImageSource {
  recipe: Recipe;
  addition: Addition | undefined;
}

/** Something done to the root file system at `$1` after it was made a machine, with what the script's environment names. */
export interface Addition {
  name: string;
  /** Another one makes another image. */
  version: string;
  script: string;
  environment: Record<string, string>;
}

export interface ImageStore {
  cacheDir: string;
  network: HostNetwork;
  signal: AbortSignal;
  say: (text: string) => void;
}

/** The image of a recipe, made if the cache has none of the same making. */
export async function ensureImage(source: ImageSource, store: ImageStore): Promise<Image> {
  const { recipe, addition } = source;
  const name = addition ? `${recipe.name}-${addition.name}` : recipe.name;
  const dir = join(store.cacheDir, `${name}.${digestOf(source)}`);
  const image = { disk: join(dir, 'disk'), kernel: join(dir, 'vmlinuz'), initrd: join(dir, 'initrd.img') };
  if (await isThere(dir)) return image;
  await mkdir(store.cacheDir, { recursive: true });
  store.say(`making the image ${name} with mmdebstrap`);
  const work = await mkdtemp(join(store.cacheDir, '.making-'));
  try {
    await make(source, work, store);
    await rm(join(work, 'root'), { recursive: true });
    await rename(work, dir);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await forgetOlder(store.cacheDir, name);
  return image;
}

async function make({ recipe, addition }: ImageSource, work: string, store: ImageStore): Promise<void> {
  const { network, signal } = store;
  const root = join(work, 'root');
  const hooks = [customize(recipe), ...(addition ? [addition.script] : [])];
  await run(
    [
      ...CONFINED,
      ...['mmdebstrap', '--mode=root', '--variant=important', '--format=directory'],
      ...(recipe.keyring ? [`--keyring=${recipe.keyring}`] : []),
      `--include=${recipe.packages.join(',')}`,
      ...['--aptopt=APT::Install-Recommends "false"', '--dpkgopt=force-unsafe-io'],
      ...network.aptOptions.map((option) => `--aptopt=${option}`),
      ...hooks.map((script) => `--customize-hook=${script}`),
      ...[recipe.suite, root, ...recipe.sources],
    ],
    { signal, env: { LC_ALL: 'C.UTF-8', ...addition?.environment } },
  );
  for (const file of ['vmlinuz', 'initrd.img']) {
    await run(['cp', '--dereference', join(root, recipe.bootDir, file), join(work, file)], { signal });
  }
  const disk = join(work, 'disk');
  await run(['truncate', `--size=${DISK_BYTES}`, disk], { signal });
  await run(['mke2fs', '-q', '-t', 'ext4', '-E', 'lazy_itable_init=1', '-d', root, disk], { signal });
  await truncate(disk, DISK_BYTES);
}

function digestOf({ recipe, addition }: ImageSource): string {
  const made = JSON.stringify([recipe, customize(recipe), addition?.version, addition?.script]);
  return createHash('sha256').update(made).digest('hex').slice(0, 12);
}

async function forgetOlder(cacheDir: string, name: string): Promise<void> {
  const entries = await readdir(cacheDir, { withFileTypes: true });
  const made = entries.filter((entry) => entry.isDirectory() && entry.name.startsWith(`${name}.`));
  const dated = await Promise.all(
    made.map(async (entry) => {
      const dir = join(cacheDir, entry.name);
      return { dir, madeAt: (await stat(dir)).mtimeMs };
    }),
  );
  dated.sort((a, b) => b.madeAt - a.madeAt);
  for (const { dir } of dated.slice(KEPT_VERSIONS)) await rm(dir, { recursive: true, force: true });
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
