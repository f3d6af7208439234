import {
  createMemoryNotices,
  createMemoryPending,
  createMemoryRates,
  createMemoryReservations,
  createMemoryRoutes,
  type Hearings,
  type Notices,
  type Pending,
  type Rates,
  type Reservations,
  type Routes,
  type StoreContents,
} from '@islet/catalog';
import { type LiveStoreOptions, openLiveStore } from '@islet/redis';
import type { Logger } from '@islet/telemetry';
import { StartRefused } from '../up/claim.ts';

/** Where an API keeps what is live. */
export interface Live extends AsyncDisposable {
  routes: Routes;
  reservations: Reservations;
  rates: Rates;
  notices: Notices;
  pending: Pending;
  /** Absent: no other API hears the nodes. */
  hearings?: Hearings;
  /** Absent: what is in memory is not lost while the API runs. */
  contents?: StoreContents;
}

/**
 * In Redis, or in the memory of this process.
 * @throws StartRefused with what to do if the server does not answer, or refuses
 */
export async function openLive(
  redis: Omit<LiveStoreOptions, 'logger'> | undefined,
  logger: Logger,
): Promise<Live> {
  if (!redis) {
    return {
      routes: createMemoryRoutes(Date.now),
      reservations: createMemoryReservations(() => performance.now()),
      rates: createMemoryRates(() => performance.now()),
      notices: createMemoryNotices(),
      pending: createMemoryPending(() => performance.now()),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  try {
    return await openLiveStore({ ...redis, logger: logger.child({ component: 'redis' }) });
  } catch (cause) {
    throw new StartRefused(
      `${serverOf(redis.url)} cannot be used: start the server, or correct --redis-url (ISLET_REDIS_URL)`,
      // One that failed at several addresses of a name says nothing itself.
      { cause: cause instanceof AggregateError ? cause.errors[0] : cause },
    );
  }
}

/** An address without name and password. */
function serverOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return protocol === 'unix:' ? `unix://${pathname}` : `${protocol}//${host}`;
}
