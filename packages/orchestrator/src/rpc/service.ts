import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { orchestratorProto, toConnectError } from '@islet/contracts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';

const KEEPALIVE_INTERVAL_MS = 20_000;

type Service = ServiceImpl<typeof orchestratorProto.Orchestrator>;
type WatchMessage = orchestratorProto.WatchSandboxesResponse;

export interface NodeFacts {
  nodeId: string;
  version: string;
  isolation: string;
  cpuCount: number;
  memoryTotalBytes: number;
}

/** The node's Connect service over its sandboxes. */
export function orchestratorService(sandboxes: Sandboxes, facts: NodeFacts): Service {
  return {
    createSandbox: ({ config, timeoutMs }, context) =>
      answer(async () => {
        if (!config) throw new TypeError('config is missing');
        return { sandbox: await sandboxes.create(config, timeoutMs, context.signal) };
      }),
    setSandboxEnd: ({ sandboxId, endAtMs, onlyExtend }) =>
      answer(async () => ({ sandbox: await sandboxes.setEnd(sandboxId, endAtMs, onlyExtend) })),
    setSandboxEgress: ({ sandboxId, egress }) =>
      answer(async () => {
        const rules = egress ?? create(orchestratorProto.EgressSchema);
        return { sandbox: await sandboxes.setEgress(sandboxId, rules) };
      }),
    pauseSandbox: ({ sandboxId, filesOnly }) =>
      answer(async () => ({ sandbox: await sandboxes.pause(sandboxId, filesOnly) })),
    resumeSandbox: ({ sandboxId, timeoutMs, autoPause, filesOnly }) =>
      answer(async () => ({
        sandbox: await sandboxes.resume(sandboxId, { timeoutMs, autoPause, filesOnly }),
      })),
    killSandbox: ({ sandboxId, reason }) =>
      answer(async () => {
        await sandboxes.kill(sandboxId, reason);
        return {};
      }),
    listSandboxes: () => ({ sandboxes: sandboxes.list() }),
    watchSandboxes: (_, context) => watch(sandboxes, context.signal),
    getNode: () => {
      const counts = sandboxes.counts();
      return {
        ...facts,
        sandboxCount: counts.running,
        sandboxStartingCount: counts.starting,
        createSuccesses: counts.createSuccesses,
        createFails: counts.createFails,
      };
    },
  };
}

async function answer<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toConnectError(error);
  }
}

async function* watch(sandboxes: Sandboxes, signal: AbortSignal): AsyncGenerator<WatchMessage> {
  const ended = new AbortController();
  const events = sandboxes.events.subscribe(AbortSignal.any([signal, ended.signal]))[Symbol.asyncIterator]();
  let keepalive: NodeJS.Timeout | undefined;
  try {
    yield message({
      case: 'snapshot',
      value: create(orchestratorProto.ListSandboxesResponseSchema, { sandboxes: sandboxes.list() }),
    });
    let next = events.next();
    for (;;) {
      const silence = new Promise<'silence'>((resolve) => {
        keepalive = setTimeout(resolve, KEEPALIVE_INTERVAL_MS, 'silence');
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
