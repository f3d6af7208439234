import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport, type ServiceImpl } from '@connectrpc/connect';
import { IsletError, templateProto, toConnectError } from '@islet/contracts';
import type { TemplateManagerClient } from '../src/index.ts';

const { LogLevel, TemplateManager } = templateProto;

type State = templateProto.WatchBuildResponse['state'];

interface SimulatedBuild {
  request: templateProto.StartBuildRequest;
  state: State;
  log: templateProto.Log[];
}

const building: State = {
  case: 'building',
  value: create(templateProto.WatchBuildResponse_BuildingSchema),
};

/** A template manager that builds nothing, yet keeps the contract; tests say how each build goes. */
export class SimulatedTemplateManager {
  readonly builds = new Map<string, SimulatedBuild>();
  readonly cancelled: { buildId: string; reason: string }[] = [];
  readonly deleted: string[] = [];
  /** What every start fails with, where set. */
  failure: Error | undefined;
  readonly #watchers = new Set<() => void>();
  #isLost = false;

  client(): TemplateManagerClient {
    return createClient(
      TemplateManager,
      createRouterTransport((router) => router.service(TemplateManager, this.#service())),
    );
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  log(buildId: string, message: string, step = '', level = LogLevel.INFO): void {
    const { log } = this.#known(buildId);
    log.push(create(templateProto.LogSchema, { timestampMs: 1_000 + log.length, message, step, level }));
  }

  ready(buildId: string): void {
    const value = create(templateProto.ReadySchema, {
      envdVersion: '0.6.13',
      diskSizeMb: 1234,
      defaultUser: 'someone',
      defaultWorkdir: '/srv',
    });
    this.#set(buildId, { case: 'ready', value });
  }

  fail(buildId: string, message: string, step = ''): void {
    this.#set(buildId, { case: 'failure', value: create(templateProto.FailureSchema, { message, step }) });
  }

  /** Breaks every watcher's stream off. */
  disconnect(): void {
    this.#isLost = true;
    this.#wake();
    this.#isLost = false;
  }

  #set(buildId: string, state: State): void {
    this.#known(buildId).state = state;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#watchers]) wake();
  }

  #known(buildId: string): SimulatedBuild {
    const build = this.builds.get(buildId);
    if (!build) throw toConnectError(new IsletError(404, 'no such build'));
    return build;
  }

  #service(): Partial<ServiceImpl<typeof TemplateManager>> {
    return {
      startBuild: (request) => {
        if (this.failure) throw this.failure;
        if (!this.builds.has(request.buildId)) {
          this.builds.set(request.buildId, { request, state: building, log: [] });
        }
        return {};
      },
      watchBuild: ({ buildId }, { signal }) => this.#watch(buildId, signal),
      getBuildLogs: ({ buildId, offset, limit, level }) => ({
        entries: this.#known(buildId)
          .log.filter((entry) => entry.level >= level)
          .slice(offset, offset + limit),
      }),
      cancelBuild: ({ buildId, reason }) => {
        this.cancelled.push({ buildId, reason });
        if (this.builds.get(buildId)?.state === building) this.fail(buildId, reason);
        return {};
      },
      deleteBuild: ({ buildId }) => {
        this.deleted.push(buildId);
        this.builds.delete(buildId);
        return {};
      },
    };
  }

  async *#watch(buildId: string, signal: AbortSignal) {
    for (;;) {
      const { state } = this.#known(buildId);
      yield create(templateProto.WatchBuildResponseSchema, { state });
      if (state.case !== 'building') return;
      const isLost = await new Promise<boolean>((resolve) => {
        const wake = () => {
          this.#watchers.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve(this.#isLost || signal.aborted);
        };
        this.#watchers.add(wake);
        signal.addEventListener('abort', wake);
      });
      if (isLost) return;
    }
  }
}
