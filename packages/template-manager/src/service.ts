import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { IsletError, templateProto, toConnectError } from '@islet/contracts';
import type { Builder, BuildListener } from './build/build.ts';
import type { Builds } from './builds/builds.ts';
import { fromLevel, toLevel, toSpec, toState } from './messages.ts';
import { RecipeError } from './recipe/recipe.ts';

/** What builds templates on a node. */
export interface TemplateManager {
  /** Recipes that ship with Islet. */
  builder: Builder;
  /** Clients' templates. */
  builds: Builds;
}

type BuildResponse = MessageInitShape<typeof templateProto.BuildResponseSchema>;

/** The Connect service of the template manager. */
export function createTemplateManagerService(
  { builder, builds }: TemplateManager,
  clock: () => number,
): ServiceImpl<typeof templateProto.TemplateManager> {
  return {
    build: (request, context) => streamBuild(builder, clock, request, context),
    async startBuild(request) {
      await builds.start(toSpec(request));
      return {};
    },
    async *watchBuild({ buildId }, context) {
      try {
        for await (const state of builds.watch(buildId, context.signal)) yield { state: toState(state) };
      } catch (error) {
        throw toConnectError(error);
      }
    },
    async getBuildLogs({ buildId, offset, limit, level }) {
      const entries = await builds.logs(buildId, { offset, limit, level: fromLevel(level) }).catch(rethrow);
      return { entries: entries.map((entry) => ({ ...entry, level: toLevel(entry.level) })) };
    },
    async cancelBuild({ buildId, reason }) {
      await builds.cancel(buildId, reason);
      return {};
    },
    async deleteBuild({ buildId }) {
      await builds.delete(buildId);
      return {};
    },
  };
}

function rethrow(error: unknown): never {
  throw toConnectError(error);
}

/** Events wait here for the stream; a build has some thousand lines at most, so there is no bound to mind. */
async function* streamBuild(
  builder: Builder,
  clock: () => number,
  request: templateProto.BuildRequest,
  context: HandlerContext,
): AsyncGenerator<BuildResponse> {
  const queue: BuildResponse[] = [];
  let wake = () => {};
  const push = (response: BuildResponse) => {
    queue.push(response);
    wake();
  };
  const log = (step: string, message: string, level: templateProto.LogLevel, progress?: number) => {
    const value = create(templateProto.LogSchema, {
      timestampMs: clock(),
      level,
      message,
      step,
      ...(progress === undefined ? {} : { progress }),
    });
    push({ event: { case: 'log', value } });
  };
  const listener: BuildListener = {
    log: (step, message, progress) => log(step, message, templateProto.LogLevel.INFO, progress),
    output: (step, line) => log(step, line, templateProto.LogLevel.DEBUG),
  };

  const stopped = new AbortController();
  const signal = AbortSignal.any([context.signal, stopped.signal]);
  let done = false;
  const building = builder
    .build(request, listener, signal)
    .then((result) => push({ event: { case: 'ready', value: result } }))
    .finally(() => {
      done = true;
      wake();
    });
  // Awaited below; this keeps an early failure from being reported as unhandled.
  building.catch(() => {});

  try {
    while (!done || queue.length > 0) {
      const next = queue.shift();
      if (next) yield next;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    await building;
  } catch (error) {
    throw toConnectError(
      error instanceof RecipeError ? new IsletError(400, error.message, { cause: error }) : error,
    );
  } finally {
    // The reader went away: nothing of the build may outlive the call.
    stopped.abort(new Error('the build was cancelled'));
    await building.catch(() => {});
  }
}
