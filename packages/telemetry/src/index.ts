export { createLogger, type Logger, type LoggerOptions } from './logger.ts';
export { Count, Durations, type GaugeOptions, isMeasured, openGauge, Sizes } from './meters.ts';
export { traceAnswers, traceCalls } from './rpc.ts';
export { TelemetrySettingsError } from './settings.ts';
export {
  annotate,
  apart,
  beginSpan,
  extractFrom,
  hasSpan,
  inChildSpan,
  injectInto,
  inSpan,
  isTraced,
  markFailed,
  type Part,
  type SpanOptions,
  within,
} from './spans.ts';
export {
  openThreadMeters,
  startTelemetry,
  type Telemetry,
  type TelemetryOptions,
  type ThreadMeters,
} from './telemetry.ts';
