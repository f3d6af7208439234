import { IsletError } from '@islet/contracts';
import type { TemplateRuntime } from '@islet/orchestrator';
import { BuildError } from '../builds/build-error.ts';
import type { BuildOutcome, BuildSpec } from '../builds/build-spec.ts';
import type { BuildContext } from '../steps/context.ts';
import { cacheKey, shortKey } from './cache-key.ts';
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
  /** What a build that was made here came to; undefined where it is not known. */
  outcomeOf: (buildId: string) => Promise<BuildOutcome | undefined>;
}

/** Names that the SDK gives to the image that stands for our base template. */
const BASE_IMAGE = /^(?:(?:docker\.io|index\.docker\.io)\/)?e2bdev\/base(?::latest)?$/;

export async function findBase(
  sources: BaseSources,
  spec: BuildSpec,
  report: Report,
  _signal: AbortSignal,
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
  throw new BuildError('base', `image '${reference}' cannot be pulled yet`);
}

function onBuild(sources: BaseSources, buildId: string, outcome: BuildOutcome | undefined): Base {
  const rootfsDir = findRootfs(sources, buildId);
  return {
    stack: { dirs: [rootfsDir], id: cacheKey('base', rootfsDir) },
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
