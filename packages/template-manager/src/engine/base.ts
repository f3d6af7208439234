import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IsletError } from '@islet/contracts';
import type { TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec, ImageSource } from '../builds/build-spec.ts';
import { ImageError } from '../images/image-error.ts';
import type { Images } from '../images/images.ts';
import type { ProvisionFiles } from '../inside/task.ts';
import type { BuildContext } from '../steps/context.ts';
import { cacheKey, shortKey } from './cache-key.ts';
import { runInside, WORKPLACE } from './inside.ts';
import type { LayerMaker, LayerStack } from './layer-stack.ts';
import type { Report } from './reporter.ts';

/** What a template is built on. */
export interface Base {
  stack: LayerStack;
  context: Omit<BuildContext, 'user'> & { user: string | undefined };
  startCommand: string | undefined;
  readyCommand: string | undefined;
}

export interface BaseSources {
  runtime: Pick<TemplateRuntime, 'rootfsOf'>;
  /** The build of the base template that ships with Islet. */
  baseBuildId: () => Promise<string>;
  /** What a build that was made here came to; undefined where it is not known. */
  outcomeOf: (buildId: string) => Promise<BuildOutcome | undefined>;
  images: Images;
  /** Texts that root file systems get. */
  provisionFiles: () => Promise<ProvisionFiles>;
}

export interface BaseScene {
  spec: BuildSpec;
  report: Report;
  signal: AbortSignal;
}

/** Names that the SDK gives to the image that stands for our base template. */
const BASE_IMAGE = /^(?:(?:docker\.io|index\.docker\.io)\/)?e2bdev\/base(?::latest)?$/;

/**
 * Finds or makes what a template is built on.
 * @throws BuildError of phase `base`.
 */
export async function findBase(
  sources: BaseSources,
  maker: LayerMaker,
  { spec, report, signal }: BaseScene,
): Promise<Base> {
  const { source } = spec;
  if (source.kind === 'build') {
    const outcome = await sources.outcomeOf(source.buildId);
    const base = onBuild(sources, source.buildId, outcome);
    report('info', 'base', `[base] FROM TEMPLATE ${source.buildId} [${shortKey(base.stack.id)}]`);
    return base;
  }
  const { reference } = source.image;
  if (BASE_IMAGE.test(reference)) {
    const base = onBuild(sources, await sources.baseBuildId(), undefined);
    report('info', 'base', `CACHED [base] FROM ${reference} [${shortKey(base.stack.id)}]`);
    return base;
  }
  return onImage(sources, maker, source.image, { spec, report, signal });
}

/** Raise it when provisioning changes what comes out of an unchanged image. */
const PROVISION_REVISION = 1;

/** The image and, above it, what makes sandboxes of it possible: a layer that all who build on the same digest share. */
async function onImage(
  sources: BaseSources,
  maker: LayerMaker,
  image: ImageSource,
  { spec, report, signal }: BaseScene,
): Promise<Base> {
  const { cpuCount, memoryMb, teamId, force, diskLimitMb } = spec;
  const onProgress = (message: string) => report('info', 'base', `[base] ${message}`);
  const pulling = sources.images.pull({ image, teamId, force, diskLimitMb, onProgress }, signal);
  const pulled = await pulling.catch((error) => {
    if (!(error instanceof ImageError)) throw error;
    throw new BuildError('base', error.message, { cause: error });
  });
  const files = await sources.provisionFiles();
  const { rootfsDir, digest, bytes } = pulled;
  const below = { dirs: [rootfsDir], id: cacheKey('image', digest), bytes };
  const { stack, cached } = await maker.put(
    below,
    {
      phase: 'base',
      parts: ['provision', PROVISION_REVISION, JSON.stringify(files)],
      description: { image: image.reference },
      freshFor: force ? spec.buildId : undefined,
      onWait: () => onProgress('waiting for another build that makes the same layer'),
      onMake: () => onProgress('Provisioning'),
      size: { cpuCount, memoryMb },
      prepare: async (dir) => {
        await mkdir(join(dir, WORKPLACE), { mode: 0o700 });
        await writeFile(join(dir, WORKPLACE, 'provision.json'), JSON.stringify(files));
      },
      act: async (runner, signal) => {
        const texts = `/${WORKPLACE}/provision.json`;
        await runInside(runner, { kind: 'provision', files: texts }, 'base', signal);
        await runInside(runner, { kind: 'configure', user: 'user' }, 'base', signal);
      },
    },
    signal,
  );
  const known = pulled.cached && cached ? 'CACHED ' : '';
  report('info', 'base', `${known}[base] FROM ${image.reference} [${shortKey(stack.id)}]`);
  return {
    stack,
    context: { env: pulled.env, user: undefined, workdir: undefined },
    startCommand: undefined,
    readyCommand: undefined,
  };
}

function onBuild(sources: BaseSources, buildId: string, outcome: BuildOutcome | undefined): Base {
  const rootfsDir = findRootfs(sources, buildId);
  return {
    stack: { dirs: [rootfsDir], id: cacheKey('base', rootfsDir), bytes: 0 },
    context: {
      env: outcome?.env ?? {},
      user: outcome?.defaultUser,
      workdir: outcome?.defaultWorkdir || undefined,
    },
    startCommand: outcome?.startCommand,
    readyCommand: outcome?.readyCommand,
  };
}

function findRootfs(sources: BaseSources, buildId: string): string {
  try {
    return sources.runtime.rootfsOf(buildId);
  } catch (error) {
    if (!(error instanceof IsletError)) throw error;
    throw new BuildError('base', `the template to build on cannot be used: ${error.message}`, {
      cause: error,
    });
  }
}
