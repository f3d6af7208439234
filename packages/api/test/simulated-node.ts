import { create } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from '@connectrpc/connect';
import {
  IsletError,
  noStore,
  orchestratorProto,
  sandboxAlreadyExists,
  sandboxAlreadyRunning,
  sandboxMoving,
  sandboxNotFound,
  sandboxPaused,
  sandboxStays,
  toConnectError,
} from '@islet/contracts';
import type { NodeClient } from '../src/index.ts';

type Sandbox = orchestratorProto.Sandbox;
type Event = orchestratorProto.WatchSandboxesResponse['event'];

const { KillReason, Orchestrator, SandboxState } = orchestratorProto;

/**
 * A node that runs nothing, yet keeps the orchestrator's contract: it holds sandboxes in memory, ends them on time,
 * and tells every watcher what changes. Tests steer it through its fields.
 */
export class SimulatedNode {
  readonly sandboxes = new Map<string, Sandbox>();
  readonly kills: { sandboxId: string; reason: orchestratorProto.KillReason }[] = [];
  readonly creates: orchestratorProto.CreateSandboxRequest[] = [];
  readonly builds = new Map<string, orchestratorProto.Build>();
  /** Root file systems that it was asked to get ahead of sandboxes. */
  readonly brought: { rootfs: string | undefined; from: string | undefined }[] = [];
  /** What getting one waits for, where set; from another node, or from the store. */
  bringing: ((from: string | undefined) => Promise<void>) | undefined;
  /** Sandboxes whose root file systems it was asked to have in the store. */
  readonly basesStored: string[] = [];
  /** What the store waits for before it has one, where set. */
  storingBase: (() => Promise<void>) | undefined;
  /** What every create waits for, where set. */
  gate: Promise<void> | undefined;
  /** What the store waits for before it has what is paused, where set. */
  storing: Promise<void> | undefined;
  /** What it waits for, where set, with what it takes over, once it has read that. */
  adopting: Promise<void> | undefined;
  /** Ids of what it has begun to take over. */
  readonly adoptions: string[] = [];
  /** From which nodes it was to get it; undefined: from the store alone. */
  readonly takenFrom: (string | undefined)[] = [];
  /** What every create and every resume fails with, where set. */
  failure: Error | undefined;
  /** Calls over `client` find nobody; those under way go on, see `die`. */
  isDown = false;
  /** Calls over `client` are not answered, and watchers hear nothing. */
  hangs = false;
  /** What every snapshot and every paused sandbox takes. */
  savedBytes = 1;
  /** As large as it says that it is. */
  cpuCount = 4;
  memoryMb = 8 * 1024;
  /** What it shares with other nodes: paused sandboxes by id and run. Undefined: nothing. */
  store: Map<string, Sandbox> | undefined;
  isStoreAway = false;
  /** Names of what cannot be read in the store, and of all that was read there. */
  readonly damaged = new Set<string>();
  readonly storeReads: string[] = [];
  readonly id: string;
  readonly #watchers = new Set<(event: Event | undefined) => void>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #made = 0;

  constructor(id = 'node-1') {
    this.id = id;
  }

  /** A client that calls this node over an in-process transport. */
  client(): NodeClient {
    const interceptors = [this.#way];
    return createClient(
      Orchestrator,
      createRouterTransport((router) => this.addTo(router), { transport: { interceptors } }),
    );
  }

  addTo(router: ConnectRouter): void {
    router.service(Orchestrator, this.#service());
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Puts a sandbox into another state, as an operation of the node would. */
  setState(sandboxId: string, state: orchestratorProto.SandboxState): void {
    const sandbox = this.#known(sandboxId);
    sandbox.state = state;
    this.#changed(sandbox);
  }

  /** Pauses a running sandbox, as when its time is over. */
  pause(sandboxId: string, { filesOnly = false, toMove = false } = {}): Sandbox {
    const sandbox = this.#known(sandboxId);
    if (!toMove) clearTimeout(this.#timers.get(sandboxId));
    const stored = this.store !== undefined;
    const endAtMs = toMove ? sandbox.endAtMs : Date.now();
    const { savedBytes } = this;
    Object.assign(sandbox, { filesOnly, endAtMs, savedBytes, stored, moving: toMove });
    this.setState(sandboxId, SandboxState.PAUSED);
    this.store?.set(`${sandboxId}/${sandbox.executionId}`, clone(sandbox));
    return clone(sandbox);
  }

  /** Ends a sandbox, as its own exit or its timeout would. */
  end(sandboxId: string, reason: orchestratorProto.KillReason): void {
    const sandbox = this.#known(sandboxId);
    clearTimeout(this.#timers.get(sandboxId));
    this.#timers.delete(sandboxId);
    this.sandboxes.delete(sandboxId);
    this.kills.push({ sandboxId, reason });
    const value = create(orchestratorProto.WatchSandboxesResponse_SandboxEndedSchema, { sandbox, reason });
    this.#tell({ case: 'ended', value });
  }

  /** Loses a sandbox without a word to anyone, as while nobody watches. */
  lose(sandboxId: string): void {
    clearTimeout(this.#timers.get(sandboxId));
    this.#timers.delete(sandboxId);
    this.sandboxes.delete(sandboxId);
  }

  /** Is gone with all that ran here, as if its machine had lost its power. */
  die(): void {
    this.isDown = true;
    for (const id of [...this.sandboxes.keys()]) this.lose(id);
    this.disconnect();
  }

  /** Puts a report into the watchers' streams, whatever it says. */
  report(sandboxes: Sandbox[]): void {
    this.#tell({
      case: 'snapshot',
      value: create(orchestratorProto.ListSandboxesResponseSchema, { sandboxes }),
    });
  }

  /** Ends the watchers' streams. */
  disconnect(): void {
    this.#tell(undefined);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.disconnect();
  }

  readonly #way: Interceptor = (next) => async (request) => {
    if (this.isDown) {
      const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      throw new ConnectError('nobody is there', Code.Unavailable, undefined, undefined, cause);
    }
    if (this.hangs) await until(request.signal);
    return next(request);
  };

  #service(): ServiceImpl<typeof Orchestrator> {
    return {
      createSandbox: (request, { signal }) => answer(() => this.#create(request, signal)),
      setSandboxEnd: ({ sandboxId, endAtMs, onlyExtend }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          if (!onlyExtend || endAtMs > sandbox.endAtMs) sandbox.endAtMs = endAtMs;
          this.#schedule(sandbox);
          this.#changed(sandbox);
          return { sandbox: clone(sandbox) };
        }),
      setSandboxEgress: ({ sandboxId, egress }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          if (sandbox.config && egress) sandbox.config.egress = egress;
          this.#changed(sandbox);
          return { sandbox: clone(sandbox) };
        }),
      pauseSandbox: ({ sandboxId, filesOnly, toMove }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          if (sandbox.state === SandboxState.PAUSED && toMove) return { sandbox: clone(sandbox) };
          if (sandbox.state === SandboxState.PAUSED && sandbox.moving) throw sandboxMoving(sandboxId);
          if (sandbox.state === SandboxState.PAUSED) {
            throw new IsletError(409, `Error pausing sandbox - sandbox '${sandboxId}' is already paused`);
          }
          return { sandbox: this.pause(sandboxId, { filesOnly, toMove }) };
        }),
      resumeSandbox: ({ sandboxId, timeoutMs, autoPause }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          await this.gate;
          if (sandbox.state !== SandboxState.PAUSED) {
            throw new IsletError(409, `Sandbox ${sandboxId} is already running`);
          }
          if (this.failure) throw this.failure;
          const now = Date.now();
          const { moving } = sandbox;
          Object.assign(sandbox, {
            ...(!moving && { startedAtMs: now, endAtMs: now + timeoutMs }),
            executionId: crypto.randomUUID(),
            stored: false,
            moving: false,
          });
          if (sandbox.config && autoPause !== undefined && !moving) sandbox.config.autoPause = autoPause;
          this.setState(sandboxId, SandboxState.RUNNING);
          this.#schedule(sandbox);
          return { sandbox: clone(sandbox) };
        }),
      snapshotSandbox: ({ sandboxId, templateId, buildId }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          await this.gate;
          if (this.failure) throw this.failure;
          const parentBuildId = sandbox.config?.buildId ?? '';
          const build = {
            buildId,
            templateId,
            parentBuildId,
            snapshotBytes: this.savedBytes,
            createdAtMs: Date.now(),
          };
          this.builds.set(buildId, create(orchestratorProto.BuildSchema, build));
          return { sandbox: clone(sandbox), build, stoppedMs: 1 };
        }),
      forkSandbox: ({ sandboxId, configs, timeoutMs }, { signal }) =>
        answer(async () => {
          this.#known(sandboxId);
          const outcomes = configs.map(async (config) => {
            const request = create(orchestratorProto.CreateSandboxRequestSchema, { config, timeoutMs });
            const { sandbox } = await this.#create(request, signal);
            return { outcome: { case: 'sandbox' as const, value: sandbox } };
          });
          return { outcomes: await Promise.all(outcomes) };
        }),
      listBuilds: () => ({ builds: [...this.builds.values()] }),
      offerBase: ({ sandboxId, inStore }) =>
        answer(async () => {
          this.#known(sandboxId);
          if (inStore) {
            this.basesStored.push(sandboxId);
            await this.storingBase?.();
          }
          return { base: { rootfs: `root-of-${sandboxId}`, guest: 'guest' } };
        }),
      bringBase: ({ base, from }) =>
        answer(async () => {
          this.brought.push({ rootfs: base?.rootfs, from: from?.name });
          await this.bringing?.(from?.name);
          return {};
        }),
      deleteBuild: ({ buildId }) => {
        this.builds.delete(buildId);
        return {};
      },
      storeSandbox: ({ sandboxId }) =>
        answer(async () => {
          const sandbox = this.#known(sandboxId);
          await this.storing;
          if (sandbox.state !== SandboxState.PAUSED) throw sandboxAlreadyRunning(sandboxId);
          if (!this.store) throw sandboxStays(sandboxId, 'its node has no store');
          return { sandbox: clone(sandbox) };
        }),
      adoptSandbox: ({ sandboxId, executionId, from }) =>
        answer(async () => {
          this.takenFrom.push(from?.name);
          const stored = this.store?.get(`${sandboxId}/${executionId}`);
          this.adoptions.push(sandboxId);
          await this.adopting;
          const known = this.sandboxes.get(sandboxId);
          const isThere = known?.executionId === executionId && known.state === SandboxState.PAUSED;
          if (isThere) return { sandbox: clone(known) };
          if (known) throw sandboxAlreadyExists(sandboxId);
          if (!stored) throw sandboxNotFound(sandboxId);
          const sandbox = { ...clone(stored), nodeId: this.id };
          this.sandboxes.set(sandboxId, sandbox);
          this.#tell({ case: 'changed', value: clone(sandbox) });
          return { sandbox: clone(sandbox) };
        }),
      killSandbox: ({ sandboxId, reason, executionId, onlyRunning }) =>
        answer(async () => {
          if (onlyRunning && this.#known(sandboxId).state === SandboxState.PAUSED) {
            throw sandboxPaused(sandboxId, 'ended as it is');
          }
          const isMeant = executionId === undefined || this.#known(sandboxId).executionId === executionId;
          if (!isMeant) throw sandboxNotFound(sandboxId);
          this.end(sandboxId, reason);
          return {};
        }),
      collectSandboxLogs: () => ({}),
      getSandbox: ({ sandboxId }) => answer(async () => ({ sandbox: clone(this.#known(sandboxId)) })),
      listSandboxes: () => this.#report(),
      listStoredSandboxes: () => this.#listStored(),
      getStoredSandbox: ({ sandboxId, executionId }) =>
        answer(async () => {
          const name = `${sandboxId}/${executionId}`;
          this.storeReads.push(name);
          if (this.damaged.has(name)) throw new ConnectError('it is damaged', Code.DataLoss);
          const sandbox = this.store?.get(name);
          if (!sandbox) throw sandboxNotFound(sandboxId);
          return { sandbox: clone(sandbox) };
        }),
      dropStoredSandbox: ({ sandboxId, executionId }) =>
        answer(async () => {
          if (this.isStoreAway) throw new ConnectError('the store is away', Code.Unavailable);
          this.store?.delete(`${sandboxId}/${executionId}`);
          return {};
        }),
      watchSandboxes: ({ heartbeatMs }, { signal }) => this.#watch(signal, heartbeatMs),
      getNode: () => ({
        nodeId: this.id,
        version: '0.1.0',
        cpuCount: this.cpuCount,
        memoryTotalBytes: this.memoryMb * 1024 ** 2,
        sandboxCount: this.sandboxes.size,
        createSuccesses: this.#made,
        isolation: 'none',
        disk: {
          mountPoint: '/',
          device: '/dev/vda',
          filesystemType: 'ext4',
          usedBytes: 1e9,
          totalBytes: 9e9,
        },
        snapshotBytes: 5e6,
        hasStore: this.store !== undefined,
      }),
    };
  }

  async #create(request: orchestratorProto.CreateSandboxRequest, signal: AbortSignal) {
    this.creates.push(request);
    await this.gate;
    if (this.failure) throw this.failure;
    if (!request.config) throw new IsletError(400, 'config is missing');
    const now = Date.now();
    const sandbox = create(orchestratorProto.SandboxSchema, {
      config: request.config,
      state: SandboxState.RUNNING,
      startedAtMs: now,
      endAtMs: now + request.timeoutMs,
      executionId: crypto.randomUUID(),
      nodeId: this.id,
      address: '10.11.0.2',
    });
    this.#made++;
    this.sandboxes.set(request.config.sandboxId, sandbox);
    this.#schedule(sandbox);
    this.#changed(sandbox);
    signal.throwIfAborted();
    return { sandbox: clone(sandbox) };
  }

  #known(sandboxId: string): Sandbox {
    const sandbox = this.sandboxes.get(sandboxId);
    if (!sandbox) throw sandboxNotFound(sandboxId);
    return sandbox;
  }

  #schedule(sandbox: Sandbox): void {
    const id = sandbox.config?.sandboxId ?? '';
    clearTimeout(this.#timers.get(id));
    const end = () => this.end(id, KillReason.TIMEOUT);
    // Node fires timers of more than 2^31 ms at once.
    this.#timers.set(id, setTimeout(end, Math.min(Math.max(0, sandbox.endAtMs - Date.now()), 2 ** 31 - 1)));
  }

  #changed(sandbox: Sandbox): void {
    sandbox.revision++;
    this.#tell({ case: 'changed', value: clone(sandbox) });
  }

  #tell(event: Event | undefined): void {
    for (const watcher of this.#watchers) watcher(event);
  }

  #report(): orchestratorProto.ListSandboxesResponse {
    const sandboxes = [...this.sandboxes.values()].map(clone);
    return create(orchestratorProto.ListSandboxesResponseSchema, { sandboxes, asOfMs: Date.now() - 1 });
  }

  async *#listStored(): AsyncGenerator<orchestratorProto.ListStoredSandboxesResponse> {
    if (!this.store) throw toConnectError(noStore());
    if (this.isStoreAway) throw new ConnectError('the store is away', Code.Unavailable);
    for (const name of this.store.keys()) {
      const [sandboxId = '', executionId = ''] = name.split('/');
      yield create(orchestratorProto.ListStoredSandboxesResponseSchema, {
        runs: [{ sandboxId, executionId }],
      });
    }
  }

  async *#watch(
    signal: AbortSignal,
    heartbeatMs = 20_000,
  ): AsyncGenerator<orchestratorProto.WatchSandboxesResponse> {
    const queue: (Event | undefined)[] = [
      {
        case: 'snapshot',
        value: this.#report(),
      },
    ];
    let wake = () => {};
    const watcher = (event: Event | undefined) => {
      queue.push(event);
      wake();
    };
    const aborted = () => watcher(undefined);
    const heart = setInterval(() => {
      const value = create(orchestratorProto.WatchSandboxesResponse_KeepAliveSchema);
      if (!this.hangs) watcher({ case: 'keepalive', value });
    }, heartbeatMs);
    this.#watchers.add(watcher);
    signal.addEventListener('abort', aborted);
    try {
      for (;;) {
        if (queue.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const event = queue.shift();
        if (!event) return;
        yield create(orchestratorProto.WatchSandboxesResponseSchema, { event });
      }
    } finally {
      clearInterval(heart);
      this.#watchers.delete(watcher);
      signal.removeEventListener('abort', aborted);
    }
  }
}

/** Never, but for the signal. */
function until(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
}

function clone(sandbox: Sandbox): Sandbox {
  return structuredClone(sandbox);
}

async function answer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
}
