export { secretOwner } from './attempt.ts';
export { createDestinations, type Destinations } from './destination.ts';
export { Dispatcher, type DispatcherOptions } from './dispatcher.ts';
export { oweToWebhooks } from './owing.ts';
export { RETRIES, type RetrySchedule } from './schedule.ts';
export { createSealing, type Sealing } from './sealing.ts';
export { signature, timedSignature } from './signature.ts';
