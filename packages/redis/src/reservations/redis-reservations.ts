import { type Place, type Reservations, START_LEASE_MS, type TakeOutcome } from '@islet/catalog';
import { liveStoreUnavailable } from '@islet/contracts';
import type { RedisConnection, Script } from '../connection.ts';
import type { Epoch } from '../epoch/epoch.ts';
import { COUNTS, GIVE_BACK, HOLD, RECONCILE, RELEASE, TAKE, TAKE_AGAIN } from './scripts.ts';
import { Starts } from './starts.ts';

/**
 * How long places of a node are held without a word of it, ms; as long as a route outlives its sandbox. What a node that is gone
 * for good held is free after it.
 */
const NODE_LEASE_MS = 86_400_000;

/**
 * Places of teams' sandboxes that any number of control planes share. None is given out, but said to be unavailable, as long as
 * this one has not written what it knows in the epoch.
 * @param monotonic milliseconds that leases go by. Absent: the server's clock, which is the only one that all share
 */
export function createRedisReservations(
  redis: RedisConnection,
  epoch: Pick<Epoch, 'key' | 'open' | 'look' | 'first'>,
  monotonic?: () => number,
): Reservations {
  const prefix = redis.key();
  const starts = new Starts(monotonic ?? (() => performance.now()));
  const run = (script: Script, ...args: (string | number)[]) =>
    redis.run(script, [epoch.key], [prefix, monotonic?.() ?? '', ...args]);

  epoch.first(async () => {
    const left = starts.left();
    const [taken, doubtful] = [left.filter(({ isTaken }) => isTaken), left.filter(({ isTaken }) => !isTaken)];
    const taking = taken.flatMap(({ teamId, sandboxId, leaseMs }) => [teamId, sandboxId, leaseMs]);
    if (taking.length > 0) await run(TAKE_AGAIN, ...taking);
    const giving = doubtful.flatMap(({ teamId, sandboxId }) => [teamId, sandboxId]);
    if (giving.length > 0) await run(GIVE_BACK, ...giving);
    for (const start of doubtful) starts.delete(start);
  });

  /** What is not answered may have been done, or not: either way the place is given back later. */
  const orInDoubt = async <T>(asked: Promise<T>, place: Place): Promise<T> => {
    try {
      return await asked;
    } catch (error) {
      starts.doubtful(place);
      throw error;
    }
  };

  return {
    async take(place, limit) {
      const { teamId, sandboxId } = place;
      const asked = run(TAKE, teamId, sandboxId, limit, START_LEASE_MS, epoch.open);
      const outcome = await orInDoubt(asked, place);
      if (outcome === 'unknown') {
        epoch.look();
        throw liveStoreUnavailable(new Error('no place is given out before all that run are counted'));
      }
      if (outcome === 'taken') starts.taken(place);
      return outcome as TakeOutcome;
    },
    async giveBack(place) {
      starts.delete(place);
      await orInDoubt(run(GIVE_BACK, place.teamId, place.sandboxId), place);
    },
    async hold({ teamId, sandboxId, nodeId }) {
      await run(HOLD, teamId, sandboxId, nodeId, NODE_LEASE_MS);
      starts.delete({ sandboxId });
    },
    async release({ teamId, sandboxId, nodeId }) {
      await run(RELEASE, teamId, sandboxId, nodeId);
    },
    async mark() {
      return Number((await redis.ask((commands) => commands.get(redis.key('holds')))) ?? 0);
    },
    async reconcile(nodeId, sandboxIds, mark) {
      await run(RECONCILE, nodeId, mark, ...sandboxIds);
    },
    async counts() {
      const flat = (await run(COUNTS)) as (string | number)[];
      const counts = new Map<string, number>();
      for (let index = 0; index < flat.length; index += 2) {
        counts.set(String(flat[index]), Number(flat[index + 1]));
      }
      return counts;
    },
  };
}
