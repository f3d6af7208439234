import { defineScript } from '../connection.ts';
import { COUNTER } from '../counter.ts';

/**
 * What all scripts have in common. ARGV[1] is the prefix of keys, ARGV[2] the time in ms, by the server's own clock if it is
 * empty: a team's places are a hash by sandbox, of texts \`s:<until>\` for a start and \`n:<change>:<node>\` for a node's. Starts
 * are also in one order by their end, nodes by the end of their lease: what is over is found without a look at the rest.
 */
const COMMON = `
local prefix = ARGV[1]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function placesOf(team) return prefix .. ':places:' .. team end
local function heldBy(node) return prefix .. ':held:' .. node end
local teams, starts = prefix .. ':teams', prefix .. ':starts'
local nodes, holds = prefix .. ':nodes', prefix .. ':holds'
local function exact(number) return string.format('%.3f', number) end
${COUNTER}
local function parse(text)
  if not text then return nil end
  if string.sub(text, 1, 2) == 's:' then return { untilMs = tonumber(string.sub(text, 3)) } end
  local since, node = string.match(text, '^n:(%d+):(.*)$')
  return { since = tonumber(since), node = node }
end
local function keptFor(team, sandbox) return parse(redis.call('HGET', placesOf(team), sandbox)) end
local function forget(team, sandbox)
  local kept = keptFor(team, sandbox)
  if not kept then return end
  redis.call('HDEL', placesOf(team), sandbox)
  if redis.call('EXISTS', placesOf(team)) == 0 then redis.call('SREM', teams, team) end
  if kept.node then redis.call('HDEL', heldBy(kept.node), sandbox)
  else redis.call('ZREM', starts, sandbox .. ' ' .. team) end
end
local function keepStart(team, sandbox, untilMs)
  forget(team, sandbox)
  redis.call('HSET', placesOf(team), sandbox, 's:' .. exact(untilMs))
  redis.call('SADD', teams, team)
  redis.call('ZADD', starts, exact(untilMs), sandbox .. ' ' .. team)
end
local function keepHeld(team, sandbox, node)
  forget(team, sandbox)
  redis.call('HSET', placesOf(team), sandbox, 'n:' .. nextOf(holds) .. ':' .. node)
  redis.call('SADD', teams, team)
  redis.call('HSET', heldBy(node), sandbox, team)
end
local function tellsOf(node, lease) redis.call('ZADD', nodes, exact(now + lease), node) end
local function dropExpired()
  for _, start in ipairs(redis.call('ZRANGEBYSCORE', starts, '-inf', exact(now), 'LIMIT', 0, 1000)) do
    local sandbox, team = string.match(start, '^(%S+) (.+)$')
    forget(team, sandbox)
  end
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', exact(now), 'LIMIT', 0, 10)) do
    local held = redis.call('HGETALL', heldBy(node))
    for index = 1, #held, 2 do forget(held[index + 1], held[index]) end
    redis.call('ZREM', nodes, node)
  end
end
`;

/** KEYS: the epoch. ARGV: team, sandbox, limit, length of the lease in ms, the epoch that the caller has written all in. */
export const TAKE = defineScript(`${COMMON}
local team, sandbox, limit, lease = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('GET', KEYS[1]) ~= ARGV[7] then return 'unknown' end
dropExpired()
if keptFor(team, sandbox) then return 'held' end
if redis.call('HLEN', placesOf(team)) >= limit then return 'full' end
keepStart(team, sandbox, now + lease)
return 'taken'
`);

/** ARGV: team, sandbox and what is left of the lease in ms, of each. */
export const TAKE_AGAIN = defineScript(`${COMMON}
for index = 3, #ARGV, 3 do
  local team, sandbox, lease = ARGV[index], ARGV[index + 1], tonumber(ARGV[index + 2])
  if not keptFor(team, sandbox) then keepStart(team, sandbox, now + lease) end
end
`);

/** ARGV: team and sandbox, of each. */
export const GIVE_BACK = defineScript(`${COMMON}
for index = 3, #ARGV, 2 do
  local kept = keptFor(ARGV[index], ARGV[index + 1])
  if kept and kept.untilMs then forget(ARGV[index], ARGV[index + 1]) end
end
`);

/** ARGV: team, sandbox, node, length of the node's lease in ms. */
export const HOLD = defineScript(`${COMMON}
tellsOf(ARGV[5], tonumber(ARGV[6]))
local kept = keptFor(ARGV[3], ARGV[4])
if not kept or kept.node ~= ARGV[5] then keepHeld(ARGV[3], ARGV[4], ARGV[5]) end
`);

/** ARGV: team, sandbox, node. */
export const RELEASE = defineScript(`${COMMON}
local kept = keptFor(ARGV[3], ARGV[4])
if kept and kept.node == ARGV[5] then forget(ARGV[3], ARGV[4]) end
`);

/** ARGV: node, mark, and the sandboxes that it has. */
export const RECONCILE = defineScript(`${COMMON}
local node, mark, has = ARGV[3], tonumber(ARGV[4]), {}
for index = 5, #ARGV do has[ARGV[index]] = true end
local held = redis.call('HGETALL', heldBy(node))
for index = 1, #held, 2 do
  local sandbox, team = held[index], held[index + 1]
  local kept = keptFor(team, sandbox)
  if not kept or kept.node ~= node then redis.call('HDEL', heldBy(node), sandbox)
  elseif kept.since <= mark and not has[sandbox] then forget(team, sandbox) end
end
`);

export const COUNTS = defineScript(`${COMMON}
dropExpired()
local counts = {}
for _, team in ipairs(redis.call('SMEMBERS', teams)) do
  counts[#counts + 1] = team
  counts[#counts + 1] = redis.call('HLEN', placesOf(team))
end
return counts
`);
