import { defineScript } from '../connection.ts';
import { COUNTER } from '../counter.ts';

/**
 * What all scripts have in common. KEYS[1] counts the changes, ARGV[1] is the prefix of keys, ARGV[2] the channel. A route is a hash
 * of its own, which expires with it; each node has a set of the sandboxes that a route leads to it for.
 */
const COMMON = `
local prefix, channel = ARGV[1], ARGV[2]
local function routeTo(sandbox) return prefix .. ':route:' .. sandbox end
local function routedTo(node) return prefix .. ':routed:' .. node end
${COUNTER}
local function remove(sandbox, run, node)
  redis.call('DEL', routeTo(sandbox))
  redis.call('SREM', routedTo(node), sandbox)
  local sequence = nextOf(KEYS[1])
  redis.call('PUBLISH', channel, cjson.encode({ sequence = sequence, sandboxId = sandbox, executionId = run }))
end
`;

/**
 * What is there already, to the letter, is no news: each control plane says so.
 * ARGV: sandbox, revision, run, node, text, expiry in Unix ms.
 */
export const PUT = defineScript(`${COMMON}
local sandbox, revision, run, node, text, expiry = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local key = routeTo(sandbox)
local known = redis.call('HMGET', key, 'revision', 'route', 'node')
if known[1] and tonumber(known[1]) > tonumber(revision) then return 0 end
if known[1] == revision and known[2] == text then return 1 end
if known[3] and known[3] ~= node then redis.call('SREM', routedTo(known[3]), sandbox) end
local sequence = nextOf(KEYS[1])
redis.call('HSET', key, 'revision', revision, 'run', run, 'node', node, 'route', text, 'sequence', sequence)
redis.call('PEXPIREAT', key, expiry)
redis.call('SADD', routedTo(node), sandbox)
if redis.call('PEXPIRETIME', routedTo(node)) < tonumber(expiry) then
  redis.call('PEXPIREAT', routedTo(node), expiry)
end
redis.call('PUBLISH', channel, cjson.encode({ sequence = sequence, route = text }))
return 1
`);

/** ARGV: sandbox, its run. */
export const REMOVE = defineScript(`${COMMON}
local known = redis.call('HMGET', routeTo(ARGV[3]), 'run', 'node')
if known[1] ~= ARGV[4] then return 0 end
remove(ARGV[3], ARGV[4], known[2])
return 1
`);

/** ARGV: node, mark, and the sandboxes that it has. */
export const RECONCILE = defineScript(`${COMMON}
local node, mark, has = ARGV[3], tonumber(ARGV[4]), {}
for index = 5, #ARGV do has[ARGV[index]] = true end
for _, sandbox in ipairs(redis.call('SMEMBERS', routedTo(node))) do
  local known = redis.call('HMGET', routeTo(sandbox), 'node', 'run', 'sequence')
  if known[1] ~= node then redis.call('SREM', routedTo(node), sandbox)
  elseif tonumber(known[3]) <= mark and not has[sandbox] then remove(sandbox, known[2], node) end
end
`);
