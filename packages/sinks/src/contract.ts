export { auditContract } from './audit/audit.contract.ts';
export { deliveriesContract } from './deliveries/deliveries.contract.ts';
export { eventsContract } from './events/events.contract.ts';
export { logsContract } from './logs/logs.contract.ts';
export { samplesContract } from './samples/samples.contract.ts';
export type { OpenSink, SinkBounds, SinkSubject } from './sink.contract.ts';
export type { OpenStore, StoreSubject } from './store.contract.ts';
