import { pauseFor } from '@islet/contracts';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { type ConsulAgent, ConsulError } from './agent.ts';

/** One process of a service, as the catalogue has it. */
export interface ServiceInstance {
  /** Unique on its agent. */
  id: string;
  /** The service's own, or its machine's. */
  address: string;
  port: number;
  meta: Readonly<Record<string, string>>;
  /** No check of it, or of its machine, is critical. */
  isPassing: boolean;
}

export interface ServiceListener {
  /** All instances, at the start and whenever something of them changes. */
  changed(instances: readonly ServiceInstance[]): void;
  /** They cannot be read: what was told last is what there is, until something else is told. Once until it is back. */
  lost(error: unknown): void;
}

export interface WatchTimes {
  /** How long a question waits for a change, ms. Consul adds a sixteenth. */
  waitMs: number;
  /** Least time from one question to the next, ms: what changes all the time is not asked for all the time. */
  leastMs: number;
  /** Before the next try after failures, ms: twice as long after each, up to the most. */
  againMs: { least: number; most: number };
}

const TIMES: WatchTimes = { waitMs: 60_000, leastMs: 100, againMs: { least: 500, most: 15_000 } };

/** For the answer itself, ms. */
const ANSWER_MS = 10_000;

const Text = Type.String({ maxLength: 512 });

const Entries = Type.Array(
  Type.Object({
    Node: Type.Object({ Address: Text }),
    Service: Type.Object({
      ID: Text,
      Address: Text,
      Port: Type.Integer({ minimum: 0, maximum: 65_535 }),
      Meta: Type.Union([Type.Null(), Type.Record(Text, Text)]),
    }),
    Checks: Type.Array(Type.Object({ Status: Text }), { maxItems: 1_000 }),
  }),
  { maxItems: 10_000 },
);

/** Follows the instances of a service by blocking queries, until it is disposed of. */
export function watchService(
  agent: ConsulAgent,
  service: string,
  listener: ServiceListener,
  times: Partial<WatchTimes> = {},
): Disposable {
  const stop = new AbortController();
  void follow({ agent, service, listener, times: { ...TIMES, ...times }, signal: stop.signal });
  return { [Symbol.dispose]: () => stop.abort() };
}

interface Following {
  agent: ConsulAgent;
  service: string;
  listener: ServiceListener;
  times: WatchTimes;
  signal: AbortSignal;
}

async function follow({ agent, service, listener, times, signal }: Following): Promise<void> {
  let index = 0n;
  let told: string | undefined;
  let failures = 0;
  const pause = (ms: number) => pauseFor(ms, signal);
  while (!signal.aborted) {
    const askedAt = performance.now();
    try {
      const answer = await agent.ask({
        ...{ method: 'GET', path: pathOf(service, index, times.waitMs), signal },
        timeoutMs: times.waitMs * (17 / 16) + ANSWER_MS,
      });
      const instances = parse(answer.text);
      if (signal.aborted) return;
      failures = 0;
      index = nextIndex(index, answer.index);
      // A question that has waited in vain is answered with what is known.
      const now = JSON.stringify(instances);
      if (now !== told) {
        told = now;
        listener.changed(instances);
      }
      await pause(times.leastMs - (performance.now() - askedAt));
    } catch (error) {
      if (signal.aborted) return;
      // Behind a failure all is asked for anew: the agent may have been started again.
      index = 0n;
      if (failures === 0) listener.lost(error);
      const { least, most } = times.againMs;
      await pause(Math.min(least * 2 ** failures++, most));
    }
  }
}

function pathOf(service: string, index: bigint, waitMs: number): string {
  const query = new URLSearchParams({ index: String(index), wait: `${waitMs}ms`, stale: '' });
  return `/v1/health/service/${encodeURIComponent(service)}?${query}`;
}

/** One that goes backwards, or is none, begins anew: Consul counts so after a restore, or a change of its servers. */
function nextIndex(before: bigint, said: string | undefined): bigint {
  const next = said !== undefined && /^\d{1,20}$/.test(said) ? BigInt(said) : 0n;
  return next < before ? 0n : next;
}

function parse(text: string): ServiceInstance[] {
  const entries = parseJson(text);
  if (!Value.Check(Entries, entries)) throw new ConsulError('Consul answered what is no list of instances');
  const instances = entries.map(({ Node, Service, Checks }) => ({
    ...{ id: Service.ID, port: Service.Port, meta: Service.Meta ?? {} },
    address: Service.Address === '' ? Node.Address : Service.Address,
    isPassing: !Checks.some(({ Status }) => Status === 'critical'),
  }));
  return instances.sort((a, b) => (a.id < b.id ? -1 : 1));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConsulError('Consul answered what is no JSON', { cause });
  }
}
