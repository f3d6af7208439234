export { type Api, createApi } from './app.ts';
export {
  type ApiDeps,
  type Clock,
  type NodeClient,
  type NodeLink,
  systemClock,
  type TemplateManagerClient,
  type VolumesClient,
  type VolumesLink,
} from './deps.ts';
export type { WebAccess } from './http/cors.ts';
export { type JournalOptions, openJournaledLogs } from './logs/journal.ts';
export { createMemoryLogs, type MemoryLogs, type MemoryLogsOptions } from './logs/memory.ts';
export type { LogLevel, LogQuery, LogRecord, LogsSource } from './logs/source.ts';
export { createMemoryMetrics, type MemoryMetrics, type MemoryMetricsOptions } from './metrics/memory.ts';
export type { MetricsSource, SampleRange } from './metrics/source.ts';
