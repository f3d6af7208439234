export { type Api, createApi } from './app.ts';
export {
  type ApiDeps,
  type Clock,
  systemClock,
} from './deps.ts';
export { type EdgeServiceOptions, edgeService } from './edges/service.ts';
export type { WebAccess } from './http/cors.ts';
export { type JournalOptions, openJournaledLogs } from './logs/journal.ts';
export { createMemoryLogs, type MemoryLogs, type MemoryLogsOptions } from './logs/memory.ts';
export type { LogLevel, LogQuery, LogRecord, LogsSource } from './logs/source.ts';
export { createMemoryMetrics, type MemoryMetrics, type MemoryMetricsOptions } from './metrics/memory.ts';
export type { MetricsSource, SampleRange } from './metrics/source.ts';
export { type DiscoveredNode, fixedNodes, localNode, type NodeDiscovery } from './nodes/discovery.ts';
export type { NodeClient, NodeLink, TemplateManagerClient, VolumesClient } from './nodes/link.ts';
export { type StaticNode, staticNodes } from './nodes/static-nodes.ts';
