import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type { ArtifactStore } from '@islet/artifacts';
import { BuildError } from '../builds/build-error.ts';
import type { BuildSpec } from '../builds/build-spec.ts';
import { BUILDS } from '../builds/figures.ts';
import { type BuildContext, VariablesTooLongError, withVariables } from '../steps/context.ts';
import type { Step, StepAction } from '../steps/step.ts';
import { shortKey } from './cache-key.ts';
import type { Draft } from './draft.ts';
import { insidePath } from './inside.ts';
import type { LayerMaker } from './layer-maker.ts';
import type { LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';
import { accountOf, isFolder } from './stack-view.ts';
import type { Job } from './workspace.ts';

/** What a COPY step's archive is called in its workspace. */
const ARCHIVE = 'archive';

/** As far as a build has come. */
export interface Progress {
  stack: LayerStack;
  context: BuildContext;
  /** Everything from here on is made again. */
  forced: boolean;
}

export interface StepScene {
  maker: LayerMaker;
  /** Begun beside the first sandbox; undefined if the build makes none. */
  draft: Draft | undefined;
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
  const { draft, files, maker, report, signal, spec } = scene;
  const { action, title } = step;
  const phase = String(number);
  const prefix = `[builder ${number}/${count}]`;
  const forced = before.forced || step.force;
  const parts = [spec.teamId, ...partsOf(action, before.context)];
  const context = contextAfter(action, before.context, phase);
  const line = `${prefix} ${title} [${shortKey(maker.key(before.stack, parts))}]`;
  await using layer = await maker.open(
    before.stack,
    {
      parts,
      phase,
      description: { step: title.slice(0, 200) },
      freshFor: forced ? spec.buildId : undefined,
      onWait: () => report('info', phase, `${prefix} waiting for another build that makes the same layer`),
      size: { cpuCount: spec.cpuCount, memoryMb: spec.memoryMb },
    },
    signal,
  );
  const { workspace } = layer;
  BUILDS.cache.add({ result: workspace ? 'miss' : 'hit' });
  if (!workspace) {
    report('info', phase, `CACHED ${line}`);
    return { stack: await layer.keep(), context, forced };
  }
  report('info', phase, line);
  const job = await jobOf(action, before, prefix);
  if (job) {
    draft?.begin();
    if (action.kind === 'copy') {
      await workspace.put(ARCHIVE, await uploaded(files, spec, action.filesHash, phase));
    }
    await workspace.run([job], signal);
  }
  return { stack: await layer.keep(), context, forced };
}

/**
 * What is done for a step in a sandbox; undefined if nothing is: as for ENV, and for what is there already, as most of what the SDK
 * makes of a Dockerfile's USER and WORKDIR.
 */
async function jobOf(
  action: StepAction,
  { context, stack }: Progress,
  prefix: string,
): Promise<Job | undefined> {
  const { user, workdir } = context;
  switch (action.kind) {
    case 'run': {
      const own = { ...context, user: action.user ?? user };
      return { kind: 'shell', command: action.command, prefix, context: own };
    }
    case 'copy': {
      const { source, destination, owner, mode } = action;
      return { kind: 'copy', archive: insidePath(ARCHIVE), source, destination, workdir, user, owner, mode };
    }
    case 'workdir': {
      const path = absoluteWorkdir(action.path, context);
      const isThere = (await accountOf(stack.dirs, user)) !== undefined && (await isFolder(stack.dirs, path));
      return isThere ? undefined : { kind: 'workdir', path, user };
    }
    case 'user': {
      const { name, admin } = action;
      const isThere = !admin && (await accountOf(stack.dirs, name)) !== undefined;
      return isThere ? undefined : { kind: 'user', name, admin };
    }
    case 'env':
      return undefined;
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

/** The archive of a COPY step. @throws BuildError if no one uploaded it. */
async function uploaded(
  files: StepScene['files'],
  { teamId }: BuildSpec,
  hash: string,
  phase: string,
): Promise<Readable> {
  const content = await files.open({ teamId, hash });
  if (!content) throw new BuildError(phase, `the files with hash ${hash} have not been uploaded`);
  return content;
}
