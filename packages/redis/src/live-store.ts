import {
  createMemoryPending,
  createMemoryRates,
  type Hearings,
  type Notices,
  type Pending,
  type Rates,
  type Reservations,
  type Routes,
  type StoreContents,
} from '@islet/catalog';
import type { Logger } from '@islet/telemetry';
import { RedisConnection } from './connection.ts';
import { Epoch, GRACE_MS } from './epoch/epoch.ts';
import { createRedisHearings } from './hearings/redis-hearings.ts';
import { createRedisNotices } from './notices/redis-notices.ts';
import { createRedisPending } from './pending/redis-pending.ts';
import { createRedisRates } from './rates/redis-rates.ts';
import { createRedisReservations } from './reservations/redis-reservations.ts';
import { createRedisRoutes } from './routes/redis-routes.ts';

export interface LiveStoreOptions {
  /** `redis://`, `rediss://` or `unix://` */
  url: string;
  /** Before every key, so that several Islets may share a server. Without characters of patterns. */
  prefix: string;
  logger: Logger;
}

/** What is live, in a Redis or Valkey that any number of control planes share. */
export interface LiveStore extends AsyncDisposable {
  routes: Routes;
  reservations: Reservations;
  rates: Rates;
  notices: Notices;
  hearings: Hearings;
  pending: Pending;
  contents: StoreContents;
}

/** @throws Error if the server does not answer, or refuses */
export async function openLiveStore({ url, prefix, logger }: LiveStoreOptions): Promise<LiveStore> {
  let epoch: Epoch | undefined;
  let isAway = false;
  const redis = await RedisConnection.open({
    ...{ url, prefix },
    // Once, though each try to connect again fails; not at the start, which throws it.
    onError: (error) => {
      if (epoch && !isAway) logger.warn({ err: error }, 'Redis does not answer');
      isAway = true;
    },
    onBack: () => {
      isAway = false;
      logger.warn('Redis answers again');
      epoch?.back();
    },
  });
  epoch = new Epoch({ redis, graceMs: GRACE_MS, logger });
  const notices = createRedisNotices(redis);
  return {
    routes: createRedisRoutes(redis, epoch),
    reservations: createRedisReservations(redis, epoch),
    rates: createRedisRates(
      redis,
      createMemoryRates(() => performance.now()),
    ),
    notices,
    hearings: createRedisHearings(redis),
    pending: createRedisPending(
      redis,
      createMemoryPending(() => performance.now()),
    ),
    contents: epoch,
    async [Symbol.asyncDispose]() {
      await notices[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}
