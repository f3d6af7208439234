export type { KeptContents, StoreContents } from './contents.ts';
export { type HeardNode, type Hearings, type Silence, TELLING_GAP_MS } from './hearings/hearings.ts';
export { createMemoryHearings } from './hearings/memory.ts';
export { createMemoryNotices } from './notices/memory.ts';
export type { Notices, Topic } from './notices/notices.ts';
export { createMemoryPending } from './pending/memory.ts';
export { PENDING_LEASE_MS, type Pending } from './pending/pending.ts';
export { type Bucket, retryMs, spend } from './rates/bucket.ts';
export { createMemoryRates } from './rates/memory.ts';
export type { Ask, RateOutcome, Rates } from './rates/rates.ts';
export { createMemoryReservations } from './reservations/memory.ts';
export {
  type HeldPlace,
  type Place,
  type Reservations,
  START_LEASE_MS,
  type TakeOutcome,
} from './reservations/reservations.ts';
export { type FedRoutes, feedRoutes, openFedRoutes } from './routes/feed.ts';
export { followRoutes } from './routes/follow.ts';
export { createMemoryRoutes } from './routes/memory.ts';
export { type RoutePlace, routeOf } from './routes/of-sandbox.ts';
export { type IngressPolicy, type Route, type RouteState, servesTraffic } from './routes/route.ts';
export type { RouteChange, RouteListener, Routes, WatchableRoutes } from './routes/routes.ts';
export type { FindSigner, SignedFile } from './routes/signer.ts';
export { type RouteSink, RouteTable, type RouteTransition, type RouteView } from './routes/table.ts';
export { refusalToWake, type Wake, type WakeCredentials, type WakeOutcome } from './routes/wake.ts';
export { routeFromWire, routeToWire } from './routes/wire.ts';
