import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** As Prometheus has units in names, and writes them itself behind names that it is told by OTLP. */
const UNITS: Readonly<Record<string, string>> = { s: 'seconds', By: 'bytes' };

const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);

/** Figures in the text format of Prometheus, under the names that they have there if they come by OTLP. */
export function toPrometheusText(figures: ResourceMetrics): string {
  const scopeMetrics = figures.scopeMetrics.map(({ scope, metrics }) => ({
    scope,
    metrics: metrics.map(withUnit),
  }));
  return serializer.serialize({ ...figures, scopeMetrics });
}

function withUnit(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor;
  const suffix = UNITS[unit];
  const full = suffix === undefined || name.endsWith(`.${suffix}`) ? name : `${name}.${suffix}`;
  // A line of its own for the unit is OpenMetrics', which this is not.
  return { ...metric, descriptor: { ...metric.descriptor, name: full, unit: '' } };
}
