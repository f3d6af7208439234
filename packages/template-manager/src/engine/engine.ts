import { join } from 'node:path';
import type { ArtifactStore } from '@islet/artifacts';
import { ENVD_VERSION } from '@islet/contracts';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec } from '../builds/build-spec.ts';
import { machineDisk } from '../layers/disk.ts';
import type { InUse } from '../layers/in-use.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { linkTree, mergeLayers } from '../layers/merge.ts';
import { parseSteps } from '../steps/step.ts';
import { type BaseSources, findBase } from './base.ts';
import { cacheKey, shortKey } from './cache-key.ts';
import { configured } from './configure.ts';
import { Draft } from './draft.ts';
import { LayerMaker, type LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { shellCommand, startUp } from './start-up.ts';
import { carryOutStep, type Progress } from './step.ts';

export interface EngineDeps extends BaseSources {
  runtime: Pick<TemplateRuntime, 'rootfsOf' | 'rootfsDirs' | 'withBuildSandbox' | 'seal'>;
  /** Layers, shared by all Islets of the machine. */
  layers: LayerStore;
  /** Root file systems of ready builds. */
  rootfs: LayerStore;
  /** Written beside each of them. */
  rootfsNote: Readonly<Record<string, string>>;
  /** Keeps root file systems from being freed under a build. */
  inUse: InUse;
  /** Where root file systems are begun while steps run, on the file system of `rootfs`; absent: they are not. */
  draftsDir?: string;
  /** What COPY steps copy from. */
  files: Pick<ArtifactStore, 'open'>;
}

/**
 * Builds a template: base, default user, the client's steps, the root file system, and the snapshot of its start.
 * @throws BuildError where the template is to blame, the signal's reason where it was aborted.
 */
export async function runBuild(
  deps: EngineDeps,
  spec: BuildSpec,
  report: Report,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const steps = parseSteps(spec.steps);
  const { diskLimitMb } = spec;
  let draft: Draft | undefined;
  const maker = new LayerMaker({
    store: deps.layers,
    runtime: deps.runtime,
    diskUsage: machineDisk.diskUsage,
    diskLimitMb,
    onSandbox: () => draft?.begin(),
  });
  const base = await findBase(deps, maker, { spec, report, signal });
  const [lowest = ''] = base.stack.dirs;
  using _base = deps.inUse.hold(lowest);
  if (deps.draftsDir !== undefined) {
    draft = new Draft(join(deps.draftsDir, spec.buildId), lowest, deps.inUse);
  }
  await using _draft = draft;
  let progress: Progress = {
    stack: base.stack,
    context: spec.legacyUser
      ? { ...base.context, user: base.context.user ?? 'root' }
      : { ...base.context, user: 'user' },
    forced: spec.force,
  };
  for (const [index, step] of steps.entries()) {
    const place = { number: index + 1, count: steps.length };
    progress = await carryOutStep({ maker, files: deps.files, spec, report, signal }, progress, step, place);
  }
  const size = { cpuCount: spec.cpuCount, memoryMb: spec.memoryMb };
  report('info', 'finalize', `[finalize] Finalizing template build [${shortKey(progress.stack.id)}]`);
  const configuring = { maker, base: base.stack, size };
  const stack = steps.length === 0 ? base.stack : await configured(configuring, progress.stack, signal);
  const { rootfsDir, key } = plannedRootfs(deps, stack);
  using _sealed = deps.inUse.hold(rootfsDir);
  const rootfsBytes =
    key === undefined
      ? await machineDisk.diskUsage(rootfsDir)
      : await makeRootfs(deps, { key, stack, draft }, signal);
  const { context } = progress;
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

/** Where the one plain directory of all layers is or will be, shared by the builds that have the same; with the key to make it by. */
function plannedRootfs(deps: EngineDeps, stack: LayerStack): { rootfsDir: string; key?: string } {
  const [only, ...others] = stack.dirs;
  // Nothing was added to the build that this one stands on.
  if (only !== undefined && others.length === 0 && deps.runtime.rootfsDirs().has(only)) {
    return { rootfsDir: only };
  }
  const key = cacheKey('rootfs', stack.id);
  return { rootfsDir: deps.rootfs.pathOf(key), key };
}

/** @returns what it takes on the disk, bytes. */
async function makeRootfs(
  deps: EngineDeps,
  { key, stack, draft }: { key: string; stack: LayerStack; draft: Draft | undefined },
  signal: AbortSignal,
): Promise<number> {
  const begin = async (lowest: string, target: string) => {
    if (!(await draft?.moveTo(target, lowest))) await linkTree(lowest, target, signal);
  };
  const { bytes } = await deps.rootfs.ensure(
    {
      key,
      description: { ...deps.rootfsNote, stack: stack.id },
      digest: stack.digest,
      onWait: () => {},
      make: (dir, signal) => mergeLayers(stack.dirs, dir, signal, begin),
    },
    signal,
  );
  return bytes;
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
