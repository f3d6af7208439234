import { ENVD_VERSION } from '@islet/contracts';
import type { CommandRunner, TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec } from '../builds/build-spec.ts';
import type { LayerStore } from '../layers/layer-store.ts';
import { mergeLayers } from '../layers/merge.ts';
import { identityFile } from '../rootfs/plan.ts';
import { type BuildContext, withVariables } from '../steps/context.ts';
import { parseSteps, type Step } from '../steps/step.ts';
import { type BaseSources, findBase } from './base.ts';
import { cacheKey, shortKey } from './cache-key.ts';
import { LayerMaker, type LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { runShell } from './run-command.ts';
import { startUp } from './start-up.ts';

export interface EngineDeps extends BaseSources {
  runtime: Pick<TemplateRuntime, 'rootfsOf' | 'withBuildSandbox' | 'seal'>;
  /** Layers, shared by all Islets of the machine. */
  layers: LayerStore;
  /** Root file systems of this Islet's builds. */
  rootfs: LayerStore;
}

/** What a build's phases hand on to each other. */
interface Progress {
  stack: LayerStack;
  context: BuildContext;
  /** Everything from here on is made again. */
  forced: boolean;
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
  const maker = new LayerMaker(deps.layers, deps.runtime);
  const base = await findBase(deps, spec, report, signal);
  let progress: Progress = {
    stack: base.stack,
    context: spec.legacyUser
      ? { ...base.context, user: base.context.user ?? 'root' }
      : { ...base.context, user: 'user', workdir: undefined },
    forced: spec.force,
  };
  for (const [index, step] of steps.entries()) {
    progress = await runStep({ maker, spec, report, signal }, progress, step, index, steps.length);
  }
  report('info', 'finalize', `Finalizing template build [${shortKey(progress.stack.id)}]`);
  const rootfsDir = await rootfsOf(deps, progress.stack, signal);
  const { context } = progress;
  const inherits = spec.startCommand === undefined && spec.readyCommand === undefined;
  const { startCommand, readyCommand } = inherits ? base : spec;
  const defaultUser = spec.legacyUser ? 'user' : context.user;
  const defaultWorkdir = context.workdir ?? '';
  const { diskSizeMb } = await deps.runtime.seal(
    {
      templateId: spec.templateId,
      buildId: spec.buildId,
      rootfsDir,
      cpuCount: spec.cpuCount,
      memoryMb: spec.memoryMb,
      freeDiskMb: spec.freeDiskMb,
      defaultUser,
      defaultWorkdir,
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

interface StepScene {
  maker: LayerMaker;
  spec: BuildSpec;
  report: Report;
  signal: AbortSignal;
}

async function runStep(
  { maker, spec, report, signal }: StepScene,
  before: Progress,
  step: Step,
  index: number,
  count: number,
): Promise<Progress> {
  const phase = String(index + 1);
  const prefix = `[builder ${phase}/${count}]`;
  const forced = before.forced || step.force;
  const { action, title } = step;
  const { context } = before;
  const layer = {
    parts: [spec.teamId, ...partsOf(step), ...(action.kind === 'env' ? [] : contextParts(context))],
    description: { step: title.slice(0, 200) },
    freshFor: forced ? spec.buildId : undefined,
    onWait: () => report('info', phase, `${prefix} waiting for another build that makes the same layer`),
    size: { cpuCount: spec.cpuCount, memoryMb: spec.memoryMb },
  };
  const line = `${prefix} ${title} [${shortKey(maker.key(before.stack, layer))}]`;
  let told = false;
  const act = async (runner: CommandRunner) => {
    if (action.kind === 'run') {
      const own = { ...context, user: action.user ?? context.user };
      await runShell(runner, { command: action.command, phase, prefix, context: own }, report, signal);
    }
  };
  const { stack, cached } = await maker.put(
    before.stack,
    {
      ...layer,
      prepare: async () => {
        told = true;
        report('info', phase, line);
      },
      act,
    },
    signal,
  );
  if (cached && !told) report('info', phase, `CACHED ${line}`);
  const next = action.kind === 'env' ? withVariables(context, action.variables) : context;
  return { stack, context: next, forced };
}

/** What of a step decides about its layer. */
function partsOf({ action }: Step): readonly (string | number | boolean | undefined)[] {
  switch (action.kind) {
    case 'run':
      return ['run', action.command, action.user];
    case 'env':
      return ['env', ...action.variables.flat()];
    default:
      throw new BuildError('', `${action.kind.toUpperCase()} is not there yet`);
  }
}

function contextParts({ env, user, workdir }: BuildContext): readonly (string | undefined)[] {
  const names = Object.keys(env).sort();
  return [user, workdir, ...names.flatMap((name) => [name, env[name]])];
}

/** One plain directory of all layers, shared by the builds that have the same. */
async function rootfsOf(deps: EngineDeps, stack: LayerStack, signal: AbortSignal): Promise<string> {
  const [only, ...others] = stack.dirs;
  if (only !== undefined && others.length === 0) return only;
  const { rootfsDir } = await deps.rootfs.ensure(
    {
      key: cacheKey('rootfs', stack.id),
      description: { stack: stack.id },
      onWait: () => {},
      make: (dir, signal) => mergeLayers(stack.dirs, dir, signal),
    },
    signal,
  );
  return rootfsDir;
}

/** Tells programs in a sandbox what it was made from. */
async function writeIdentity(runner: CommandRunner, { templateId, buildId }: BuildSpec): Promise<void> {
  const end = await runner.run({
    program: '/bin/bash',
    args: ['-c', 'printf %s "$1" > /.e2b', 'identity', identityFile(templateId, buildId)],
    user: 'root',
  });
  if (end.exitCode !== 0) throw new BuildError('finalize', `/.e2b cannot be written: ${end.status}`);
}
