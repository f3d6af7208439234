import { type Hearings, TELLING_GAP_MS } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';

/** What nobody has told of for so long is forgotten, ms. */
const KEPT_MS = 86_400_000;

/** ARGV[1] is the prefix of keys, ARGV[2] the time in Unix ms, by the server's own clock if it is empty. */
const COMMON = `
local prefix, now = ARGV[1], tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function keep(key, at) redis.call('SET', key, string.format('%.0f', at), 'PX', ${KEPT_MS}) end
local function timeAt(key) return tonumber(redis.call('GET', key) or nil) end
local function heardKey(node) return prefix .. ':heard:' .. node end
local function lostKey(node) return prefix .. ':lost:' .. node end
local toldKey, tellingKey = prefix .. ':heard', prefix .. ':hearing'
local function isGap() return now - (timeAt(toldKey) or 0) > ${TELLING_GAP_MS} end
`;

/** ARGV: node, and how long ago it was heard in ms, of each. Gives those that were lost. */
const HEARD = defineScript(`${COMMON}
if isGap() then keep(tellingKey, now) end
keep(toldKey, now)
local back = {}
for index = 3, #ARGV, 2 do
  local node, at = ARGV[index], now - tonumber(ARGV[index + 1])
  keep(heardKey(node), math.max(at, timeAt(heardKey(node)) or at))
  local lostAt = timeAt(lostKey(node))
  if lostAt and lostAt < at then
    redis.call('DEL', lostKey(node))
    back[#back + 1] = node
  end
end
return back
`);

/** ARGV: node, silence in ms. Gives when it was lost, and 0; or what is left of the time. */
const LOSE = defineScript(`${COMMON}
local node, silence = ARGV[3], tonumber(ARGV[4])
local lostAt = timeAt(lostKey(node))
if lostAt then return { string.format('%.0f', lostAt), 0 } end
local at = timeAt(heardKey(node))
if not at then
  at = now
  keep(heardKey(node), at)
end
local knownFrom = (isGap() and now or timeAt(tellingKey) or now) + ${TELLING_GAP_MS}
local left = math.max(at + silence, knownFrom) - now
if left > 0 then return { '', left } end
keep(lostKey(node), now)
return { string.format('%.0f', now), 0 }
`);

/**
 * Hearings that any number of control planes share.
 * @param now Unix milliseconds. Absent: the server's clock, which is the only one that all share
 */
export function createRedisHearings(redis: RedisConnection, now?: () => number): Hearings {
  const common = () => [redis.key(), now?.() ?? ''];
  return {
    async heard(nodes) {
      const args = nodes.flatMap(({ nodeId, agoMs }) => [nodeId, Math.round(agoMs)]);
      return (await redis.run(HEARD, [], [...common(), ...args])) as string[];
    },
    async lose(nodeId, silenceMs) {
      const answer = await redis.run(LOSE, [], [...common(), nodeId, silenceMs]);
      const [since, leftMs] = answer as [string, number];
      return since === '' ? { isLost: false, leftMs } : { isLost: true, sinceMs: Number(since) };
    },
  };
}
