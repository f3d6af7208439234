import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactStore } from '@islet/artifacts';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import { BuildFiles } from './builds/build-files.ts';
import { Builds, type BuildsOptions } from './builds/builds.ts';
import { pruneLayerCache } from './cache.ts';
import { Debian } from './debian/debian.ts';
import { removeDrafts } from './engine/draft.ts';
import { runBuild } from './engine/engine.ts';
import { readProvisionFiles } from './engine/provision-files.ts';
import { openCells } from './host/cells.ts';
import { Images, type Registries } from './images/images.ts';
import { machineDisk } from './layers/disk.ts';
import { InUse } from './layers/in-use.ts';
import { createLayerStore, type LockFile } from './layers/layer-store.ts';
import { type KnownLayer, pruneLayers } from './layers/prune.ts';

export interface ClientBuildsOptions {
  /** Kept over restarts: builds, their logs, their root file systems. */
  dataDir: string;
  /** Lost at a reboot. */
  runtimeDir: string;
  /** What sets this Islet's cgroups apart from another's. */
  instance: string;
  /** Layers, which all Islets of the machine share. */
  cacheDir: string;
  runtime: TemplateRuntime;
  /** What clients uploaded for COPY steps. */
  files: Pick<ArtifactStore, 'open'>;
  /** The templates that ship with Islet: texts of theirs are in all others. */
  templatesDir: string;
  /** The operator's Debian mirror, if one is set. */
  debianMirror: string | undefined;
  /** The build of the base template that ships with Islet. */
  baseBuildId: () => Promise<string>;
  registries: Registries;
  /** Builds that run at once; more wait. */
  atOnce: number;
  /** Layers in the cache may hold so much together; those that were longest not used go first. */
  layerCacheBytes: number;
  lock: LockFile;
  /** See `BuildsOptions`. */
  onLog: BuildsOptions['onLog'];
  logger: Logger;
  /** Unix ms. */
  now: () => number;
}

/** Opens the node's builds of clients' templates; `resume` goes on with those that an earlier process did not finish. */
export async function openClientBuilds(options: ClientBuildsOptions): Promise<Builds> {
  const { dataDir, cacheDir, runtime, files, baseBuildId, atOnce, layerCacheBytes, lock, logger, now } =
    options;
  const layersDir = join(cacheDir, 'layers');
  const rootfsDir = join(dataDir, 'rootfs');
  const layers = createLayerStore(layersDir, lock, machineDisk);
  const rootfs = createLayerStore(rootfsDir, lock, machineDisk);
  const draftsDir = join(rootfsDir, '.drafts');
  const inUse = new InUse();
  const imagesDir = join(cacheDir, 'images');
  await mkdir(imagesDir, { recursive: true, mode: 0o700 });
  const gatesDir = join(options.runtimeDir, 'gates');
  // Those of a process that was killed in the middle of a pull.
  await rm(gatesDir, { recursive: true, force: true });
  await mkdir(gatesDir, { recursive: true, mode: 0o700 });
  const cells = await openCells(options.instance);
  const buildFiles = await BuildFiles.open(join(dataDir, 'builds'));
  const arch = process.arch;
  const engine = {
    ...{ runtime, layers, rootfs, inUse, files, baseBuildId },
    rootfsNote: {},
    draftsDir,
    images: new Images({
      ...{ dir: imagesDir, gatesDir, layers, cells, arch, registries: options.registries },
      pace: PACE,
    }),
    debian: new Debian({ layers, mirror: options.debianMirror, arch, logger, choosesPackages: false }),
    outcomeOf: (buildId: string) => buildFiles.outcome(buildId),
    provisionFiles: () => readProvisionFiles(options.templatesDir),
  };
  /** Frees root file systems that nothing goes back to any more. */
  const sweep = async () => {
    // Asked anew each time: builds end meanwhile, and from then on their snapshot needs what they held.
    const keeps = ({ rootfsDir }: KnownLayer) => inUse.has(rootfsDir) || runtime.rootfsDirs().has(rootfsDir);
    const { signal } = new AbortController();
    await removeDrafts(draftsDir, inUse);
    await pruneLayers({ layersDir: rootfsDir, lock, maxBytes: -1, usedSinceMs: Infinity, keeps, signal });
  };
  await sweep();
  return new Builds({
    files: buildFiles,
    atOnce,
    limitMs: BUILD_LIMIT_MS,
    run: (spec, report, signal) => runBuild(engine, spec, report, signal),
    forget: (buildId) => runtime.remove(buildId),
    tidy: async () => {
      await sweep();
      await pruneLayerCache({ cacheDir, lock, maxBytes: layerCacheBytes, now: now() });
    },
    tidyAfterMs: TIDY_AFTER_MS,
    onLog: options.onLog,
    logger,
    now,
  });
}

/** Slower than any line that one would pull an image over. */
const PACE = { bytes: 1024 ** 2, everyMs: 60_000 };

const TIDY_AFTER_MS = 3_000;

/** As the protocol has it. */
const BUILD_LIMIT_MS = 60 * 60 * 1000;
