import type { Rates } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';

/**
 * KEYS: when all of a caller's requests are there again, Unix ms. ARGV: requests, period in ms, the time in ms or '' for the
 * server's. Gives whether one is admitted, how many are left, and the times until all, and until one, in microseconds: what Lua
 * answers are whole numbers.
 */
const TAKE = defineScript(`
local requests, period, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local interval = period / requests
local before = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local late = before + interval - now - period
local admitted = late < interval / 1000
local full = before
if admitted then
  full = before + interval
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now) + 1)
end
local left = math.max(0, math.floor((period - (full - now)) / interval + 1 / 1000))
local function micros(ms) return math.floor(ms * 1000 + 0.5) end
return { admitted and 1 or 0, left, micros(full - now), admitted and 0 or micros(late) }
`);

/**
 * Rates that any number of control planes share. What the server loses is counted anew from nothing.
 * @param alone counts while the server does not answer: a rate then holds at each control plane by itself
 * @param monotonic milliseconds. Absent: the server's clock, which is the only one that all share
 */
export function createRedisRates(redis: RedisConnection, alone: Rates, monotonic?: () => number): Rates {
  return {
    async take(who, rate) {
      const args = [rate.requests, rate.periodMs, monotonic?.() ?? ''];
      try {
        const answer = (await redis.run(TAKE, [redis.key('rate', who)], args)) as [
          number,
          number,
          number,
          number,
        ];
        const [admitted, remaining, resetMicros, retryMicros] = answer;
        return {
          ...{ isAdmitted: admitted === 1, remaining },
          ...{ resetMs: resetMicros / 1_000, retryMs: retryMicros / 1_000 },
        };
      } catch {
        return alone.take(who, rate);
      }
    },
  };
}
