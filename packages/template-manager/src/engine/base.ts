import { Readable } from 'node:stream';
import { IsletError } from '@islet/contracts';
import type { RootFileSystem, TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec, ImageSource } from '../builds/build-spec.ts';
import type { Debian } from '../debian/debian.ts';
import { type DebianWish, parseDebianReference } from '../debian/reference.ts';
import { ImageError } from '../images/image-error.ts';
import type { Images } from '../images/images.ts';
import type { ProvisionFiles } from '../inside/task.ts';
import type { BuildContext } from '../steps/context.ts';
import { cacheKey, shortKey } from './cache-key.ts';
import { insidePath } from './inside.ts';
import type { LayerMaker } from './layer-maker.ts';
import type { LayerStack } from './layer-stack.ts';
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
  /** What a build that was made here came to; undefined if it is not known. */
  outcomeOf: (buildId: string) => Promise<BuildOutcome | undefined>;
  images: Pick<Images, 'pull'>;
  debian: Debian;
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
  const debian = parseDebianReference(reference);
  if (debian) return onDebian(sources, maker, debian, { spec, report, signal });
  return onImage(sources, maker, source.image, { spec, report, signal });
}

/** Raise it when provisioning changes what comes out of an unchanged image. */
export const PROVISION_REVISION = 2;

/** What the texts that provisioning needs are called in its workspace. */
const TEXTS = 'provision.json';

async function onImage(
  sources: BaseSources,
  maker: LayerMaker,
  image: ImageSource,
  scene: BaseScene,
): Promise<Base> {
  const { spec, report, signal } = scene;
  const { teamId, force, diskLimitMb = Number.POSITIVE_INFINITY } = spec;
  const onProgress = (message: string) => report('info', 'base', `[base] ${message}`);
  const pulling = sources.images.pull({ image, teamId, force, diskLimitMb, onProgress }, signal);
  const { rootfsDir, digest, contentDigest, bytes, cached, env } = await pulling.catch((error) => {
    if (!(error instanceof ImageError)) throw error;
    throw new BuildError('base', error.message, { cause: error });
  });
  const below = { dirs: [rootfsDir], id: cacheKey('image', digest), digest: contentDigest, bytes };
  return provisioned(sources, maker, { name: image.reference, below, cached, env }, scene);
}

/** `force` makes no new one: who wants newer packages than those of its first build upgrades them in a step. */
async function onDebian(
  sources: BaseSources,
  maker: LayerMaker,
  wish: DebianWish,
  scene: BaseScene,
): Promise<Base> {
  const { id, rootfsDir, digest, bytes, cached } = await sources.debian.make(
    wish,
    scene.report,
    scene.signal,
  );
  const below = { dirs: [rootfsDir], id, digest, bytes };
  return provisioned(sources, maker, { name: `islet/debian:${wish.suite}`, below, cached, env: {} }, scene);
}

interface Foreign {
  /** As the log shows it. */
  name: string;
  below: LayerStack;
  cached: boolean;
  env: Readonly<Record<string, string>>;
}

/** Above a root file system that was not made for sandboxes, what makes them possible: a layer that all who build on the same share. */
async function provisioned(
  sources: BaseSources,
  maker: LayerMaker,
  { name, below, cached, env }: Foreign,
  { spec, report, signal }: BaseScene,
): Promise<Base> {
  const { cpuCount, memoryMb, force, buildId } = spec;
  const onProgress = (message: string) => report('info', 'base', `[base] ${message}`);
  const files = JSON.stringify(await sources.provisionFiles());
  await using layer = await maker.open(
    below,
    {
      phase: 'base',
      parts: ['provision', PROVISION_REVISION, files],
      description: { image: name },
      freshFor: force ? buildId : undefined,
      onWait: () => onProgress('waiting for another build that makes the same layer'),
      size: { cpuCount, memoryMb },
    },
    signal,
  );
  const { workspace } = layer;
  if (workspace) {
    onProgress('Provisioning');
    await workspace.put(TEXTS, Readable.from([files]));
    const provision = { kind: 'provision', files: insidePath(TEXTS) } as const;
    await workspace.run([provision, { kind: 'configure', user: 'user' }], signal);
  }
  const stack = await layer.keep();
  const known = cached && !workspace ? 'CACHED ' : '';
  report('info', 'base', `${known}[base] FROM ${name} [${shortKey(stack.id)}]`);
  return {
    stack,
    context: { env, user: undefined, workdir: undefined },
    startCommand: undefined,
    readyCommand: undefined,
  };
}

function onBuild(sources: BaseSources, buildId: string, outcome: BuildOutcome | undefined): Base {
  const { dir, digest } = findRootfs(sources, buildId);
  return {
    stack: { dirs: [dir], id: cacheKey('base', digest), digest, bytes: 0 },
    context: {
      env: outcome?.env ?? {},
      user: outcome?.defaultUser,
      workdir: outcome?.defaultWorkdir || undefined,
    },
    startCommand: outcome?.startCommand,
    readyCommand: outcome?.readyCommand,
  };
}

function findRootfs(sources: BaseSources, buildId: string): RootFileSystem {
  try {
    return sources.runtime.rootfsOf(buildId);
  } catch (error) {
    if (!(error instanceof IsletError)) throw error;
    throw new BuildError('base', `the template to build on cannot be used: ${error.message}`, {
      cause: error,
    });
  }
}
