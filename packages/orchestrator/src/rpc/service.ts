import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { noStore, orchestratorProto, sandboxNotFound, toConnectError } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import { diskOf, type Processor } from '@islet/host';
import { StoreUnavailableError } from '@islet/snapshots';
import { Value } from 'typebox/value';
import type { SandboxEgress } from '../egress/sandbox-egress.ts';
import type { StoredSandboxes } from '../exchange/stored.ts';
import { MachineBase } from '../machine/run.ts';
import type { Journals } from '../past/journals.ts';
import type { LifeNotes } from '../past/life-notes.ts';
import type { ForkOutcome } from '../sandbox/copies.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import type { TemplateBuild } from '../templates/build.ts';
import type { TemplateStore } from '../templates/store.ts';

/** How long a watcher hears nothing, ms: at most, and at least however short it asks for. */
const HEARTBEAT_MS = { longest: 20_000, shortest: 1_000 };

type Service = ServiceImpl<typeof orchestratorProto.Orchestrator>;
type WatchMessage = orchestratorProto.WatchSandboxesResponse;
type StoredMessage = orchestratorProto.ListStoredSandboxesResponse;

/** Runs in one message. */
const RUNS_AT_ONCE = 1_000;

export interface NodeFacts {
  nodeId: string;
  version: string;
  isolation: string;
  runtimeDigest: string;
  cpuCount: number;
  memoryTotalBytes: number;
  processor: Processor;
}

export interface NodeParts {
  sandboxes: Sandboxes;
  templates: TemplateStore;
  journals: Journals;
  lives: LifeNotes;
  /** Undefined: the node shares no store with others. */
  stored: StoredSandboxes | undefined;
  /** Notes what sandboxes reach. */
  egress: Pick<SandboxEgress, 'caughtUp'>;
  facts: NodeFacts;
  /** Where the node keeps what lasts. */
  dataDir: string;
}

/** The node's Connect service over its sandboxes. */
export function orchestratorService(parts: NodeParts): Service {
  const { sandboxes, templates, stored, journals, lives, egress, facts, dataDir } = parts;
  const inStore = async <T>(use: (there: StoredSandboxes) => Promise<T>): Promise<T> => {
    try {
      if (!stored) throw noStore();
      return await use(stored);
    } catch (error) {
      throw storeError(error);
    }
  };
  return {
    createSandbox: ({ config, timeoutMs, buildFrom }, { signal }) =>
      answer(async () => {
        if (!config) throw new TypeError('config is missing');
        return { sandbox: await sandboxes.create(config, timeoutMs, { buildFrom, signal }) };
      }),
    setSandboxEnd: ({ sandboxId, endAtMs, onlyExtend }) =>
      answer(async () => ({ sandbox: await sandboxes.setEnd(sandboxId, endAtMs, onlyExtend) })),
    setSandboxEgress: ({ sandboxId, egress }) =>
      answer(async () => {
        const rules = egress ?? create(orchestratorProto.EgressSchema);
        return { sandbox: await sandboxes.setEgress(sandboxId, rules) };
      }),
    pauseSandbox: ({ sandboxId, filesOnly, toMove }) =>
      answer(async () => ({
        sandbox: await (toMove ? sandboxes.stopToMove(sandboxId) : sandboxes.pause(sandboxId, filesOnly)),
      })),
    resumeSandbox: ({ sandboxId, timeoutMs, autoPause, filesOnly }) =>
      answer(async () => ({
        sandbox: await sandboxes.resume(sandboxId, { timeoutMs, autoPause, filesOnly }),
      })),
    snapshotSandbox: ({ sandboxId, templateId, buildId }) =>
      answer(async () => {
        const { sandbox, build, stoppedMs } = await sandboxes.snapshot(sandboxId, { templateId, buildId });
        lives.checkpointed(sandbox);
        return { sandbox, build: await present(build, templates), stoppedMs };
      }),
    forkSandbox: ({ sandboxId, configs, timeoutMs }) =>
      answer(async () => {
        const outcomes = await sandboxes.fork(sandboxId, configs, timeoutMs);
        return { outcomes: outcomes.map(presentOutcome) };
      }),
    listBuilds: async () => ({
      builds: await Promise.all(templates.list().map((build) => present(build, templates))),
    }),
    deleteBuild: ({ buildId }) =>
      answer(async () => {
        await sandboxes.dropBuild(buildId);
        return {};
      }),
    listStoredSandboxes: (_request, { signal }) => listStored(stored, signal),
    getStoredSandbox: ({ sandboxId, executionId }, { signal }) =>
      inStore(async (there) => {
        const sandbox = await there.get({ config: { sandboxId }, executionId }, signal);
        if (!sandbox) throw sandboxNotFound(sandboxId);
        return { sandbox };
      }),
    dropStoredSandbox: ({ sandboxId, executionId }, { signal }) =>
      inStore(async (there) => {
        await there.drop({ config: { sandboxId }, executionId }, signal);
        return {};
      }),
    storeSandbox: ({ sandboxId }) => answer(async () => ({ sandbox: await sandboxes.store(sandboxId) })),
    offerBase: ({ sandboxId, inStore }, { signal }) =>
      answer(async () => ({
        base: await (inStore ? sandboxes.storeBase(sandboxId, signal) : sandboxes.baseOf(sandboxId)),
      })),
    bringBase: ({ base, buildId, from }) =>
      answer(async () => {
        // As another node said it.
        if (!Value.Check(MachineBase, base)) {
          throw new ConnectError('base: two digests of letters, digits and ._-', Code.InvalidArgument);
        }
        await sandboxes.bringBase(base, buildId, from);
        return {};
      }),
    adoptSandbox: ({ sandboxId, executionId, from }) =>
      answer(async () => ({ sandbox: await sandboxes.adopt(sandboxId, executionId, from) })),
    killSandbox: ({ sandboxId, reason, executionId, onlyRunning }) =>
      answer(async () => {
        await sandboxes.kill(sandboxId, reason, { executionId, onlyRunning });
        return {};
      }),
    collectSandboxLogs: ({ sandboxId }) =>
      answer(async () => {
        await Promise.all([journals.caughtUp(sandboxId), egress.caughtUp()]);
        return {};
      }),
    getSandbox: ({ sandboxId }) => answer(async () => ({ sandbox: sandboxes.show(sandboxId) })),
    listSandboxes: () => sandboxes.report(),
    watchSandboxes: ({ heartbeatMs, nodeId }, { signal }) => {
      if (nodeId) sandboxes.called(nodeId);
      return watch(sandboxes, heartbeatMs, signal);
    },
    getNode: async () => {
      const counts = sandboxes.counts();
      return {
        disk: await diskOf(dataDir),
        snapshotBytes: await sandboxes.snapshotBytes(),
        ...facts,
        hasStore: stored !== undefined,
        sandboxCount: counts.running,
        sandboxStartingCount: counts.starting,
        createSuccesses: counts.createSuccesses,
        createFails: counts.createFails,
      };
    },
  };
}

async function present(build: TemplateBuild, templates: TemplateStore) {
  const { buildId, templateId, parentBuildId, createdAt } = build;
  return create(orchestratorProto.BuildSchema, {
    buildId,
    templateId,
    ...(parentBuildId !== undefined && { parentBuildId }),
    snapshotBytes: await templates.bytesOf(build),
    createdAtMs: Date.parse(createdAt),
  });
}

function presentOutcome(outcome: ForkOutcome) {
  if ('sandbox' in outcome) {
    return create(orchestratorProto.ForkOutcomeSchema, {
      outcome: { case: 'sandbox', value: outcome.sandbox },
    });
  }
  const { status, message, errorCode = '' } = outcome.error;
  const value = create(orchestratorProto.ForkErrorSchema, { status, message, errorCode });
  return create(orchestratorProto.ForkOutcomeSchema, { outcome: { case: 'error', value } });
}

async function answer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
}

/** @throws ConnectError */
async function* listStored(
  stored: StoredSandboxes | undefined,
  signal: AbortSignal,
): AsyncGenerator<StoredMessage> {
  if (!stored) throw toConnectError(noStore());
  const message = () => create(orchestratorProto.ListStoredSandboxesResponseSchema);
  let next = message();
  try {
    for await (const { config, executionId } of stored.runs(signal)) {
      const run = { sandboxId: config.sandboxId, executionId };
      next.runs.push(create(orchestratorProto.StoredRunSchema, run));
      if (next.runs.length < RUNS_AT_ONCE) continue;
      yield next;
      next = message();
    }
  } catch (error) {
    throw storeError(error);
  }
  if (next.runs.length > 0) yield next;
}

/** Tells a store that is away from one that has something else than it was given. */
function storeError(error: unknown): ConnectError {
  const of = (code: Code) => new ConnectError(String(error), code, undefined, undefined, error);
  if (error instanceof StoreUnavailableError) return of(Code.Unavailable);
  if (error instanceof DamagedSnapshotError || error instanceof RangeError) return of(Code.DataLoss);
  return toConnectError(error);
}

async function* watch(
  sandboxes: Sandboxes,
  heartbeatMs: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<WatchMessage> {
  const ended = new AbortController();
  const { longest, shortest } = HEARTBEAT_MS;
  const silenceMs = Math.min(Math.max(heartbeatMs ?? longest, shortest), longest);
  const events = sandboxes.events.subscribe(AbortSignal.any([signal, ended.signal]))[Symbol.asyncIterator]();
  let keepalive: NodeJS.Timeout | undefined;
  try {
    yield message({
      case: 'snapshot',
      value: create(orchestratorProto.ListSandboxesResponseSchema, sandboxes.report()),
    });
    let next = events.next();
    for (;;) {
      const silence = new Promise<'silence'>((resolve) => {
        keepalive = setTimeout(resolve, silenceMs, 'silence');
      });
      const result = await Promise.race([next, silence]);
      clearTimeout(keepalive);
      if (result === 'silence') {
        yield message({
          case: 'keepalive',
          value: create(orchestratorProto.WatchSandboxesResponse_KeepAliveSchema),
        });
        continue;
      }
      if (result.done) return;
      next = events.next();
      const event = result.value;
      if (event.kind === 'changed') yield message({ case: 'changed', value: event.sandbox });
      else {
        const { sandbox, reason } = event;
        const value = create(orchestratorProto.WatchSandboxesResponse_SandboxEndedSchema, {
          sandbox,
          reason,
        });
        yield message({ case: 'ended', value });
      }
    }
  } finally {
    clearTimeout(keepalive);
    ended.abort();
  }
}

function message(event: WatchMessage['event']): WatchMessage {
  return create(orchestratorProto.WatchSandboxesResponseSchema, { event });
}
