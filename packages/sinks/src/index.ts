export type { AuditActor, AuditPlace, AuditQuery, AuditRecord, AuditStore } from './audit/audit.ts';
export { createMemoryAudit } from './audit/memory.ts';
export type {
  BuildLogQuery,
  BuildLogSink,
  BuildLogSource,
  BuildLogStore,
} from './build-logs/build-logs.ts';
export {
  DELIVERY_ERRORS,
  type DeliveryAttempt,
  type DeliveryBucket,
  type DeliveryError,
  type DeliveryGroup,
  type DeliveryPlace,
  type DeliveryQuery,
  type DeliveryStatsQuery,
  type DeliveryStatus,
  type DeliveryStore,
} from './deliveries/deliveries.ts';
export { createMemoryDeliveries, type MemoryDeliveriesOptions } from './deliveries/memory.ts';
export type { EventQuery, EventSink, EventSource, EventStore } from './events/events.ts';
export { History, type HistoryOptions, type HistoryStores } from './history/history.ts';
export { HistoryThread, type HistoryThreadOptions } from './history/thread.ts';
export type { LogQuery, LogRecord, LogSink, LogSource, LogStore } from './logs/logs.ts';
export { logRecordOf } from './logs/record.ts';
export { EventSpool, type EventSpoolOptions, type LifeMemory } from './outbox/event-spool.ts';
export { type Batch, Outbox, type OutboxOptions, type Position } from './outbox/outbox.ts';
export { type OutboxClient, OutboxReader, type OutboxReaderOptions } from './outbox/reader.ts';
export { outboxService } from './outbox/service.ts';
export { bucketLength, bucketStart } from './samples/buckets.ts';
export type { SampleRange, SampleSink, SampleSource, SampleStore } from './samples/samples.ts';
export { type Note, type Sinks, type Stores, store } from './sinks.ts';
export {
  TEAM_SAMPLE_MS,
  type TeamBucket,
  type TeamRange,
  type TeamSource,
  type TeamStore,
} from './teams/teams.ts';
export type { VerdictQuery, VerdictSink, VerdictSource, VerdictStore } from './verdicts/verdicts.ts';
