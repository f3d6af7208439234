import { hostname } from 'node:os';
import { context, type DiagLogger, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api';
import { logs } from '@opentelemetry/api-logs';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import {
  MeterProvider,
  type MetricProducer,
  type MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor, type BufferConfig } from '@opentelemetry/sdk-trace-base';
import { useMeter } from '../meters.ts';
import type { TelemetrySettings } from '../settings.ts';
import type { Telemetry, TelemetryOptions } from '../telemetry.ts';
import { recordLines } from './log-records.ts';
import { watchLoop } from './loop.ts';
import { toPrometheusText } from './prometheus.ts';
import { AskedReader } from './thread.ts';
import { Threads } from './threads.ts';

/** How long the end of a process waits for what it has still to tell, ms. A receiver that hangs costs no more. */
const LAST_WORDS_MS = 2_000;

/** Between two complaints about a receiver, ms: each could be one more thing that it is to be sent. */
const COMPLAINT_PAUSE_MS = 60_000;

/** Begins to send what the settings say, and to keep figures. */
export async function openSdk(options: TelemetryOptions, settings: TelemetrySettings): Promise<Telemetry> {
  const { sends } = settings;
  const problems = new Problems();
  diag.setLogger(problems, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const resource = resourceOf(options);
  const closing: (() => Promise<void>)[] = [];

  const threads = new Threads();
  const scraped = new AskedReader({ metricProducers: [threads] });
  const readers: MetricReader[] = [scraped];
  if (sends.metrics) readers.push(pushing(settings.metricIntervalMs, threads));
  const meters = new MeterProvider({ resource, readers });
  closing.push(() => meters.shutdown());
  const stopMetering = useMeter(meters.getMeter('islet'));
  const loop = watchLoop();

  if (sends.traces) closing.push(startTraces(resource, meters));
  const lines = sends.logs ? startLogs(resource, meters) : undefined;
  if (lines) closing.push(lines.close);

  return {
    takeLogLine: lines?.take,
    isMeasured: true,
    addThread: (collect) => threads.add(collect),
    metricsText: async () => toPrometheusText((await scraped.collect()).resourceMetrics),
    tellProblems: (tell) => problems.tell(tell),
    async [Symbol.asyncDispose]() {
      loop[Symbol.dispose]();
      const told = Promise.allSettled(closing.map((close) => close()));
      await Promise.race([told, new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS).unref())]);
      stopMetering();
      for (const api of [trace, logs, context, propagation, diag]) api.disable();
    },
  };
}

interface Counted {
  selfObsMeterProvider: MeterProvider;
}

function pushing(exportIntervalMillis: number, threads: MetricProducer): MetricReader {
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportIntervalMillis, 10_000),
    metricProducers: [threads],
  });
}

/** @returns ends them */
function startTraces(resource: Resource, meterProvider: MeterProvider): () => Promise<void> {
  // What is dropped, and what a receiver refuses, is counted there.
  const counted: BufferConfig & Counted = { selfObsMeterProvider: meterProvider };
  const exporter = new OTLPTraceExporter(counted);
  const spanProcessors = [new BatchSpanProcessor(exporter, counted)];
  const provider = new BasicTracerProvider({ resource, meterProvider, spanProcessors });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return () => provider.shutdown();
}

function startLogs(resource: Resource, meterProvider: MeterProvider) {
  const counted: Counted = { selfObsMeterProvider: meterProvider };
  const processors = [new BatchLogRecordProcessor({ ...counted, exporter: new OTLPLogExporter(counted) })];
  const provider = new LoggerProvider({ resource, processors, meterProvider });
  return { take: recordLines(provider.getLogger('islet')), close: () => provider.shutdown() };
}

/** What the variables say comes last: it wins. */
function resourceOf({ service, instanceId, version }: TelemetryOptions): Resource {
  const own = resourceFromAttributes({
    'service.name': service,
    'service.version': version,
    'service.instance.id': instanceId,
    'host.name': hostname(),
  });
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}

/** Tells what goes wrong with sending: once in a while, since every failure would be told otherwise. */
class Problems implements DiagLogger {
  #tell: ((message: string) => void) | undefined;
  #last = Number.NEGATIVE_INFINITY;

  tell(tell: (message: string) => void): void {
    this.#tell = tell;
  }

  error(message: string, ...more: unknown[]): void {
    const now = performance.now();
    if (!this.#tell || now - this.#last < COMPLAINT_PAUSE_MS) return;
    this.#last = now;
    this.#tell(
      [message, ...more]
        .map((part) => String(part))
        .join(' ')
        .slice(0, 500),
    );
  }

  warn(message: string, ...more: unknown[]): void {
    this.error(message, ...more);
  }

  info(): void {}
  debug(): void {}
  verbose(): void {}
}
