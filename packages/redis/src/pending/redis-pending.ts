import { PENDING_LEASE_MS, type Pending } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';

/** KEYS: the team's. ARGV: the time in ms or '' for the server's, the lease in ms, and sandboxes. Gives all that are pending. */
const ADD = defineScript(`
local now, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
for index = 3, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], lease)
return redis.call('ZRANGE', KEYS[1], 0, -1)
`);

/**
 * What is pending at any number of control planes.
 * @param alone keeps it while the server does not answer: each control plane then sees its own
 * @param monotonic milliseconds. Absent: the server's clock, which is the only one that all share
 */
export function createRedisPending(
  redis: RedisConnection,
  alone: Pending,
  monotonic?: () => number,
): Pending {
  const keyOf = (teamId: string) => redis.key('pending', teamId);
  return {
    async add(teamId, sandboxIds) {
      const here = await alone.add(teamId, sandboxIds);
      try {
        const args = [monotonic?.() ?? '', PENDING_LEASE_MS, ...sandboxIds];
        return (await redis.run(ADD, [keyOf(teamId)], args)) as string[];
      } catch {
        return here;
      }
    },
    async remove(teamId, sandboxIds) {
      await alone.remove(teamId, sandboxIds);
      if (sandboxIds.length === 0) return;
      // What is left there goes with its lease.
      await redis.ask((commands) => commands.zRem(keyOf(teamId), [...sandboxIds])).catch(() => undefined);
    },
  };
}
