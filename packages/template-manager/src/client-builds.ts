import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ArtifactStore } from '@islet/artifacts';
import type { TemplateRuntime } from '@islet/orchestrator';
import type { Logger } from '@islet/telemetry';
import { Builds } from './builds/builds.ts';
import { runBuild } from './engine/engine.ts';
import { createLayerStore, type LockFile } from './layers/layer-store.ts';

const run = promisify(execFile);

export interface ClientBuildsOptions {
  /** Kept over restarts: builds, their logs, their root file systems. */
  dataDir: string;
  /** Layers, which all Islets of the machine share. */
  cacheDir: string;
  runtime: TemplateRuntime;
  /** What clients uploaded for COPY steps. */
  files: Pick<ArtifactStore, 'open'>;
  /** The build of the base template that ships with Islet. */
  baseBuildId: () => Promise<string>;
  /** Builds that run at once; more wait. */
  atOnce: number;
  lock: LockFile;
  logger: Logger;
  /** Unix ms. */
  now: () => number;
}

/** Opens the node's builds of clients' templates; `resume` goes on with those that an earlier process did not finish. */
export async function openClientBuilds(options: ClientBuildsOptions): Promise<Builds> {
  const { dataDir, cacheDir, runtime, files, baseBuildId, atOnce, lock, logger, now } = options;
  const syncFs = async (path: string) => {
    await run('sync', ['--file-system', path]);
  };
  const layers = createLayerStore(join(cacheDir, 'layers'), lock, syncFs);
  const rootfs = createLayerStore(join(dataDir, 'rootfs'), lock, syncFs);
  const builds = await Builds.open({
    dir: join(dataDir, 'builds'),
    atOnce,
    run: (spec, report, signal) =>
      runBuild(
        { runtime, layers, rootfs, files, baseBuildId, outcomeOf: (buildId) => builds.outcome(buildId) },
        spec,
        report,
        signal,
      ),
    forget: async () => {},
    logger,
    now,
  });
  return builds;
}
