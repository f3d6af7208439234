import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ArtifactStore } from '@islet/artifacts';
import type { CommandRunner } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildSpec } from '../builds/build-spec.ts';
import { type BuildContext, VariablesTooLongError, withVariables } from '../steps/context.ts';
import type { Step, StepAction } from '../steps/step.ts';
import { shortKey } from './cache-key.ts';
import { runInside, WORKPLACE } from './inside.ts';
import type { LayerMaker, LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { runShell } from './run-command.ts';
import { accountOf, isFolder } from './stack-view.ts';

/** As far as a build has come. */
export interface Progress {
  stack: LayerStack;
  context: BuildContext;
  /** Everything from here on is made again. */
  forced: boolean;
}

export interface StepScene {
  maker: LayerMaker;
  /** What COPY steps copy from. */
  files: Pick<ArtifactStore, 'open'>;
  spec: BuildSpec;
  report: Report;
  signal: AbortSignal;
}

/** Carries out the client's step `number` (from 1) of `count`, or takes its layer from the cache. */
export async function carryOutStep(
  scene: StepScene,
  before: Progress,
  step: Step,
  { number, count }: { number: number; count: number },
): Promise<Progress> {
  const { maker, spec, report, signal } = scene;
  const phase = String(number);
  const prefix = `[builder ${number}/${count}]`;
  const forced = before.forced || step.force;
  const { action, title } = step;
  const { context } = before;
  const parts = [spec.teamId, ...partsOf(action, context)];
  const after = contextAfter(action, context, phase);
  const line = `${prefix} ${title} [${shortKey(maker.key(before.stack, parts))}]`;
  const { stack, cached } = await maker.put(
    before.stack,
    {
      parts,
      phase,
      description: { step: title.slice(0, 200) },
      freshFor: forced ? spec.buildId : undefined,
      onWait: () => report('info', phase, `${prefix} waiting for another build that makes the same layer`),
      size: { cpuCount: spec.cpuCount, memoryMb: spec.memoryMb },
      onMake: () => report('info', phase, line),
      isNeeded: () => changesFiles(action, before),
      prepare: (dir) => prepareStep(scene, action, phase, dir),
      ...(action.kind === 'env'
        ? {}
        : { act: (runner, signal) => actStep(runner, { action, context, phase, prefix, report, signal }) }),
    },
    signal,
  );
  if (cached) report('info', phase, `CACHED ${line}`);
  return { stack, context: after, forced };
}

/** False for what is there already, as most of what the SDK makes of a Dockerfile's USER and WORKDIR. */
async function changesFiles(action: StepAction, { stack, context }: Progress): Promise<boolean> {
  switch (action.kind) {
    case 'user':
      return action.admin || (await accountOf(stack.dirs, action.name)) === undefined;
    case 'workdir': {
      const known = await accountOf(stack.dirs, context.user);
      return known === undefined || !(await isFolder(stack.dirs, absoluteWorkdir(action.path, context)));
    }
    default:
      return true;
  }
}

/** What of a step and its surroundings decides about its layer. */
function partsOf(
  action: StepAction,
  context: BuildContext,
): readonly (string | number | boolean | undefined)[] {
  const { env, user, workdir } = context;
  switch (action.kind) {
    case 'run': {
      const names = Object.keys(env).sort();
      const variables = names.flatMap((name) => [name, env[name]]);
      return ['run', action.command, action.user ?? user, workdir, ...variables];
    }
    case 'copy': {
      const { source, destination, owner, mode, filesHash } = action;
      return ['copy', source, destination, owner, mode, filesHash, user, workdir];
    }
    case 'env':
      return ['env', ...action.variables.flat()];
    case 'workdir':
      return ['workdir', absoluteWorkdir(action.path, context), user];
    case 'user':
      return ['user', action.name, action.admin];
  }
}

/** @throws BuildError */
function contextAfter(action: StepAction, context: BuildContext, phase: string): BuildContext {
  switch (action.kind) {
    case 'env':
      try {
        return withVariables(context, action.variables);
      } catch (error) {
        if (!(error instanceof VariablesTooLongError)) throw error;
        throw new BuildError(phase, error.message, { cause: error });
      }
    case 'workdir':
      return { ...context, workdir: absoluteWorkdir(action.path, context) };
    case 'user':
      return { ...context, user: action.name };
    default:
      return context;
  }
}

function absoluteWorkdir(path: string, { workdir }: BuildContext): string {
  return posix.resolve(workdir ?? '/', path);
}

/** Puts the archive of a COPY step into the layer that is to be made; the step itself takes it away. */
async function prepareStep(
  { files, spec }: StepScene,
  action: StepAction,
  phase: string,
  dir: string,
): Promise<void> {
  if (action.kind !== 'copy') return;
  const content = await files.open({ teamId: spec.teamId, hash: action.filesHash });
  if (!content) throw new BuildError(phase, `the files with hash ${action.filesHash} have not been uploaded`);
  await mkdir(join(dir, WORKPLACE), { mode: 0o700 });
  await pipeline(content, createWriteStream(join(dir, WORKPLACE, 'archive'), { mode: 0o600 }));
}

interface ActScene {
  action: StepAction;
  context: BuildContext;
  phase: string;
  prefix: string;
  report: Report;
  signal: AbortSignal;
}

async function actStep(
  runner: CommandRunner,
  { action, context, phase, prefix, report, signal }: ActScene,
): Promise<void> {
  const { user, workdir } = context;
  switch (action.kind) {
    case 'run': {
      const own = { ...context, user: action.user ?? user };
      return runShell(runner, { command: action.command, phase, prefix, context: own }, report, signal);
    }
    case 'copy': {
      const { source, destination, owner, mode } = action;
      const archive = `/${WORKPLACE}/archive`;
      const task = { kind: 'copy', archive, source, destination, workdir, user, owner, mode } as const;
      return runInside(runner, task, phase, signal);
    }
    case 'workdir': {
      const path = absoluteWorkdir(action.path, context);
      return runInside(runner, { kind: 'workdir', path, user }, phase, signal);
    }
    case 'user':
      return runInside(runner, { kind: 'user', name: action.name, admin: action.admin }, phase, signal);
    case 'env':
      return;
  }
}
