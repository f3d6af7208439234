/**
 * Lua that counts changes by a key. It begins at the time, in thousandths of a millisecond, so that a server that has lost the
 * key counts on from where it was: what is newer than a mark is so over any loss. Numbers are texts: Lua writes those of so many
 * digits only roughly.
 */
export const COUNTER = `
local function nextOf(key)
  if redis.call('EXISTS', key) == 0 then
    local time = redis.call('TIME')
    redis.call('SET', key, string.format('%.0f', time[1] * 1000000 + time[2]))
  end
  return string.format('%.0f', redis.call('INCR', key))
end
`;
