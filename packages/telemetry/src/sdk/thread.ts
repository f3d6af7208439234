import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { useMeter } from '../meters.ts';
import type { ThreadMeters } from '../telemetry.ts';

/** Collects when it is asked to. */
export class AskedReader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

export function openThread(): ThreadMeters {
  const reader = new AskedReader();
  useMeter(new MeterProvider({ readers: [reader] }).getMeter('islet'));
  return {
    collect: async () => (await reader.collect()).resourceMetrics.scopeMetrics,
  };
}
