import type { ServiceImpl } from '@connectrpc/connect';
import { type templateProto, toConnectError } from '@islet/contracts';
import type { Builds } from './builds/builds.ts';
import { fromLevel, toLevel, toSpec, toState } from './messages.ts';

/** The Connect service of the template manager. */
export function createTemplateManagerService(
  builds: Builds,
): ServiceImpl<typeof templateProto.TemplateManager> {
  return {
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
