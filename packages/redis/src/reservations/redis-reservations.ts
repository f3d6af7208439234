import { type Reservations, START_LEASE_MS, type TakeOutcome } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';

/**
 * What all scripts have in common. ARGV[1] is the prefix of keys, ARGV[2] the time in ms, by the server's own clock if it is
 * empty: a team's places are a hash by sandbox, of texts \`s:<until>\` for a start and \`n:<change>:<node>\` for a node's.
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
local teams = prefix .. ':places'
local changes = prefix .. ':places:changes'

local function parse(text)
  if not text then return nil end
  local untilMs = string.match(text, '^s:(.*)$')
  if untilMs then return { untilMs = tonumber(untilMs) } end
  local since, node = string.match(text, '^n:(%d+):(.*)$')
  return { since = tonumber(since), node = node }
end
local function keptFor(team, sandbox) return parse(redis.call('HGET', placesOf(team), sandbox)) end
local function forget(team, sandbox)
  local kept = keptFor(team, sandbox)
  if not kept then return end
  redis.call('HDEL', placesOf(team), sandbox)
  if redis.call('EXISTS', placesOf(team)) == 0 then redis.call('SREM', teams, team) end
  if kept.node then redis.call('HDEL', heldBy(kept.node), sandbox) end
end
local function keep(team, sandbox, text, node)
  forget(team, sandbox)
  redis.call('HSET', placesOf(team), sandbox, text)
  redis.call('SADD', teams, team)
  if node then redis.call('HSET', heldBy(node), sandbox, team) end
end
local function dropExpired(team)
  local all = redis.call('HGETALL', placesOf(team))
  for index = 1, #all, 2 do
    local kept = parse(all[index + 1])
    if kept.untilMs and kept.untilMs <= now then forget(team, all[index]) end
  end
end
`;

/** ARGV: team, sandbox, limit, length of the lease in ms. */
const TAKE = defineScript(`${COMMON}
local team, sandbox, limit, lease = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local kept = keptFor(team, sandbox)
if kept and kept.node then return 'held' end
if redis.call('HLEN', placesOf(team)) >= limit then dropExpired(team) end
kept = keptFor(team, sandbox)
if kept and kept.untilMs > now then return 'held' end
if not kept and redis.call('HLEN', placesOf(team)) >= limit then return 'full' end
keep(team, sandbox, string.format('s:%.3f', now + lease))
return 'taken'
`);

/** ARGV: team, sandbox. */
const GIVE_BACK = defineScript(`${COMMON}
local kept = keptFor(ARGV[3], ARGV[4])
if kept and kept.untilMs then forget(ARGV[3], ARGV[4]) end
`);

/** ARGV: team, sandbox, node. */
const HOLD = defineScript(`${COMMON}
local kept = keptFor(ARGV[3], ARGV[4])
if kept and kept.node == ARGV[5] then return end
keep(ARGV[3], ARGV[4], 'n:' .. redis.call('INCR', changes) .. ':' .. ARGV[5], ARGV[5])
`);

/** ARGV: team, sandbox, node. */
const RELEASE = defineScript(`${COMMON}
local kept = keptFor(ARGV[3], ARGV[4])
if kept and kept.node == ARGV[5] then forget(ARGV[3], ARGV[4]) end
`);

/** ARGV: node, mark, and the sandboxes that it has. */
const RECONCILE = defineScript(`${COMMON}
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

const COUNTS = defineScript(`${COMMON}
local counts = {}
for _, team in ipairs(redis.call('SMEMBERS', teams)) do
  dropExpired(team)
  local count = redis.call('HLEN', placesOf(team))
  if count > 0 then
    counts[#counts + 1] = team
    counts[#counts + 1] = count
  end
end
return counts
`);

/**
 * Places of teams' sandboxes that any number of control planes share.
 * @param monotonic milliseconds that leases go by. Absent: the server's clock, which is the only one that all share
 */
export function createRedisReservations(redis: RedisConnection, monotonic?: () => number): Reservations {
  const prefix = redis.key();
  const run = (script: ReturnType<typeof defineScript>, ...args: (string | number)[]) =>
    redis.run(script, [], [prefix, monotonic?.() ?? '', ...args]);

  return {
    async take({ teamId, sandboxId }, limit) {
      return (await run(TAKE, teamId, sandboxId, limit, START_LEASE_MS)) as TakeOutcome;
    },
    async giveBack({ teamId, sandboxId }) {
      await run(GIVE_BACK, teamId, sandboxId);
    },
    async hold({ teamId, sandboxId, nodeId }) {
      await run(HOLD, teamId, sandboxId, nodeId);
    },
    async release({ teamId, sandboxId, nodeId }) {
      await run(RELEASE, teamId, sandboxId, nodeId);
    },
    async mark() {
      return Number((await redis.ask((commands) => commands.get(redis.key('places', 'changes')))) ?? 0);
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
