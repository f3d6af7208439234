import { join } from 'node:path';
import type { ArtifactStore } from '@islet/artifacts';
import { ENVD_VERSION } from '@islet/contracts';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec } from '../builds/build-spec.ts';
import { BUILDS, timePart } from '../builds/figures.ts';
import { machineDisk } from '../layers/disk.ts';
import type { InUse } from '../layers/in-use.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import type { BuildContext } from '../steps/context.ts';
import { parseSteps } from '../steps/step.ts';
import { type Base, type BaseSources, findBase } from './base.ts';
import { shortKey } from './cache-key.ts';
import { configured } from './configure.ts';
import { Draft } from './draft.ts';
import { LayerMaker } from './layer-maker.ts';
import type { LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { ensureRootfs, plannedRootfs, type RootfsDeps } from './rootfs.ts';
import { shellCommand, startUp } from './start-up.ts';
import { carryOutStep, type Progress } from './step.ts';

export interface EngineDeps extends BaseSources, RootfsDeps {
  runtime: Pick<TemplateRuntime, 'rootfsOf' | 'rootfsDirs' | 'openBuildSandbox' | 'seal'>;
  /** Layers, shared by all Islets of the machine. */
  layers: LayerStore;
  /** Keeps root file systems from being freed under a build. */
  inUse: InUse;
  /** Where root file systems are begun while steps run, on the file system of `rootfs`; absent: they are not. */
  draftsDir?: string;
  /** What COPY steps copy from. */
  files: Pick<ArtifactStore, 'open'>;
}

/**
 * Builds a template: its base, the client's steps, the default user, the root file system, and the snapshot of its start.
 * @throws BuildError if the template is to blame, the signal's reason if it was aborted.
 */
export async function runBuild(
  deps: EngineDeps,
  spec: BuildSpec,
  report: Report,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const steps = parseSteps(spec.steps);
  const { layers: store, runtime, files, inUse } = deps;
  const { buildId, cpuCount, memoryMb, diskLimitMb } = spec;
  const size = { cpuCount, memoryMb };
  const { diskUsage } = machineDisk;
  const maker = new LayerMaker({ store, runtime, diskUsage, diskLimitMb, report });

  const base = await timePart('base', () => findBase(deps, maker, { spec, report, signal }));
  const [lowest = ''] = base.stack.dirs;
  using _base = inUse.hold(lowest);
  await using draft =
    deps.draftsDir === undefined ? undefined : new Draft(join(deps.draftsDir, buildId), lowest, inUse);

  const progress = await timePart('steps', async () => {
    let progress = begun(base, spec);
    for (const [index, step] of steps.entries()) {
      const scene = { maker, draft, files, spec, report, signal };
      const place = { number: index + 1, count: steps.length };
      const before = progress;
      progress = await BUILDS.step.time({ step: step.action.kind }, () =>
        carryOutStep(scene, before, step, place),
      );
    }
    return progress;
  });

  report('info', 'finalize', `[finalize] Finalizing template build [${shortKey(progress.stack.id)}]`);
  const configuring = { maker, draft, base: base.stack, size };
  const stack = steps.length === 0 ? base.stack : await configured(configuring, progress.stack, signal);
  const planned = plannedRootfs(deps, stack);
  using _sealed = inUse.hold(planned.dir);
  const rootfsBytes = await timePart('root file system', () =>
    ensureRootfs(deps, { planned, stack, draft }, signal),
  );
  BUILDS.rootfsSize.record(rootfsBytes);
  const sealing = { spec, base, stack, context: progress.context, rootfsDir: planned.dir, rootfsBytes };
  return await timePart('snapshot', () => seal(deps, sealing, report, signal));
}

function begun({ stack, context }: Base, { force, legacyUser }: BuildSpec): Progress {
  const user = legacyUser ? (context.user ?? 'root') : 'user';
  return { stack, context: { ...context, user }, forced: force };
}

interface SealScene {
  spec: BuildSpec;
  base: Base;
  stack: LayerStack;
  context: BuildContext;
  rootfsDir: string;
  rootfsBytes: number;
}

/** Has the root file system started once and its snapshot taken. */
async function seal(
  deps: EngineDeps,
  { spec, base, stack, context, rootfsDir, rootfsBytes }: SealScene,
  report: Report,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const inherits = spec.startCommand === undefined && spec.readyCommand === undefined;
  const { startCommand, readyCommand } = inherits ? base : spec;
  const defaultUser = spec.legacyUser ? 'user' : context.user;
  const defaultWorkdir = context.workdir ?? '';
  const { diskSizeMb } = await deps.runtime.seal(
    {
      templateId: spec.templateId,
      buildId: spec.buildId,
      rootfs: { digest: stack.digest, dir: rootfsDir },
      rootfsBytes,
      cpuCount: spec.cpuCount,
      memoryMb: spec.memoryMb,
      freeDiskMb: spec.freeDiskMb,
      defaultUser,
      defaultWorkdir,
      startCommand: startCommand === undefined ? undefined : shellCommand(startCommand, context),
      prepare: async (runner) => {
        await writeIdentity(runner, spec);
        await startUp(runner, { startCommand, readyCommand, context }, report, signal);
      },
    },
    signal,
  );
  const { env } = context;
  return {
    diskSizeMb,
    envdVersion: ENVD_VERSION,
    defaultUser,
    defaultWorkdir,
    env,
    startCommand,
    readyCommand,
  };
}

/** The `/.e2b` file, by which programs in a sandbox learn what it was made from. */
function identityFile({ templateId, buildId }: BuildSpec): string {
  return `ENV_ID=${templateId}\nTEMPLATE_ID=${templateId}\nBUILD_ID=${buildId}\n`;
}

async function writeIdentity(runner: CommandRunner, spec: BuildSpec): Promise<void> {
  const end = await runner.run({
    program: '/bin/bash',
    args: ['-c', 'printf %s "$1" > /.e2b', 'identity', identityFile(spec)],
    user: 'root',
  });
  if (end.exitCode !== 0) throw new BuildError('finalize', `/.e2b cannot be written: ${end.status}`);
}
