import type { RateOutcome, Rates } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';

/**
 * KEYS: when each bucket is full again, Unix ms. ARGV: the time in ms or '' for the server's, then requests, period in ms and burst
 * of each. Gives for each how many are left, and the times until all are there again and until one is, in microseconds: what Lua
 * answers are whole numbers.
 */
const TAKE = defineScript(`
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local buckets, admitted = {}, true
for i, key in ipairs(KEYS) do
  local requests, period, burst = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local interval = period / requests
  local full = math.max(tonumber(redis.call('GET', key) or now), now)
  local late = full - now - (burst - 1) * interval
  if late < interval / 1000 then late = 0 else admitted = false end
  buckets[i] = { interval = interval, burst = burst, full = full, late = late }
end
local function micros(ms) return math.floor(ms * 1000 + 0.5) end
local answer = {}
for i, bucket in ipairs(buckets) do
  if admitted then
    bucket.full = bucket.full + bucket.interval
    redis.call('SET', KEYS[i], string.format('%.3f', bucket.full), 'PX', math.ceil(bucket.full - now) + 1)
  end
  local reset = bucket.full - now
  table.insert(answer, math.max(0, math.floor(bucket.burst - reset / bucket.interval + 1 / 1000)))
  table.insert(answer, micros(reset))
  table.insert(answer, micros(bucket.late))
end
return answer
`);

/**
 * Rates that any number of control planes share. What the server loses is counted anew from nothing.
 * @param alone counts while the server does not answer: a rate then holds at each control plane by itself
 * @param monotonic milliseconds. Absent: the server's clock, which is the only one that all share
 */
export function createRedisRates(redis: RedisConnection, alone: Rates, monotonic?: () => number): Rates {
  return {
    async take(asks) {
      const keys = asks.map(({ who }) => redis.key('rate', who));
      const args = asks.flatMap(({ rate }) => [rate.requests, rate.periodMs, rate.burst]);
      try {
        const answer = (await redis.run(TAKE, keys, [monotonic?.() ?? '', ...args])) as number[];
        return asks.map((_, index): RateOutcome => {
          const [remaining = 0, resetMicros = 0, retryMicros = 0] = answer.slice(3 * index);
          return {
            ...{ isAdmitted: retryMicros === 0, remaining },
            ...{ resetMs: resetMicros / 1_000, retryMs: retryMicros / 1_000 },
          };
        });
      } catch {
        return alone.take(asks);
      }
    },
  };
}
