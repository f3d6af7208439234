import { setTimeout as sleep } from 'node:timers/promises';
import { emptyResource } from '@opentelemetry/resources';
import type { CollectionResult, MetricProducer, ScopeMetrics } from '@opentelemetry/sdk-metrics';

/** How long figures of another thread are waited for, ms; one that hangs has none. */
const COLLECT_MS = 1_000;

/** Brings the figures of other threads. */
export class Threads implements MetricProducer {
  readonly #threads = new Set<() => Promise<unknown>>();

  add(collect: () => Promise<unknown>): Disposable {
    this.#threads.add(collect);
    return { [Symbol.dispose]: () => this.#threads.delete(collect) };
  }

  async collect(): Promise<CollectionResult> {
    const figures = await Promise.all([...this.#threads].map(within));
    return {
      resourceMetrics: { resource: emptyResource(), scopeMetrics: figures.flat() },
      errors: [],
    };
  }
}

async function within(collect: () => Promise<unknown>): Promise<ScopeMetrics[]> {
  const late = sleep(COLLECT_MS, [], { ref: false });
  const figures = await Promise.race([collect().catch(() => []), late]);
  return figures as ScopeMetrics[];
}
