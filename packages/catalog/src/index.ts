export {
  type Catalog,
  type CatalogChange,
  type CatalogEntry,
  type CatalogReader,
  compareNewestFirst,
  type Followable,
  type Position,
  positionOf,
  type Sandbox,
} from './catalog.ts';
export { createMemoryCatalog } from './memory.ts';
export { type CatalogReplica, entryForRouting, feedReplica, openReplica } from './replica.ts';
export { createMemoryReservations } from './reservations/memory.ts';
export type { HeldPlace, Place, Reservations, TakeOutcome } from './reservations/reservations.ts';
export { isPaused, refusalToWake, type Wake, type WakeCredentials, type WakeOutcome } from './wake.ts';
