-- One commit, all or nothing: every refusal comes before the first write, and nothing after it can fail.
--
-- KEYS: 1 facts of the slot (hash) · 2 mark of this commit · 3 names of indexed views (set) ·
--       then the indices and outboxes touched · then the keys required · then the keys written.
-- ARGV: 1 indices and outboxes · 2 requirements · 3 writes · 4 outbox entries · 5 fence field, or empty · 6 epoch ·
--       7 progress field, or empty · 8 expected · 9 next · 10 ms the mark stays · 11 channel that wakes · 12 the
--       slot's tag · then per requirement one: '-' absent, '=' and bytes · per write three: position of its index or
--       0, '' keeps / '-' deletes / ms of expiry, value · per entry three: position of its outbox, key, value.
-- Answers {0} done (now or by an earlier try) · {1, epoch} fenced · {2, offset} other progress · {3, n} the nth
-- requirement does not hold.
local facts, mark = KEYS[1], KEYS[2]
if redis.call('EXISTS', mark) == 1 then return {0} end

-- Decimal numbers as text: an epoch or offset may be larger than a double counts exactly.
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local touched, requires, writes, entries = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local fence, progress = ARGV[5], ARGV[7]
if fence ~= '' then
  local stored = redis.call('HGET', facts, fence)
  if stored and less(ARGV[6], stored) then return {1, stored} end
end
if progress ~= '' then
  local stored = redis.call('HGET', facts, progress) or '0'
  if stored ~= ARGV[8] then return {2, stored} end
end
local key, arg = 3 + touched, 12
for n = 1, requires do
  local stored, expect = redis.call('GET', KEYS[key + n]), ARGV[arg + n]
  local first = string.sub(expect, 1, 1)
  if (first == '-' and stored) or (first == '=' and stored ~= string.sub(expect, 2)) then return {3, n} end
end
key, arg = key + requires, arg + requires

redis.call('SET', mark, '', 'PX', ARGV[10])
if fence ~= '' then redis.call('HSET', facts, fence, ARGV[6]) end
if progress ~= '' then redis.call('HSET', facts, progress, ARGV[9]) end

-- Plain values in groups: a call from Lua costs as much as the SET itself. 100 pairs stay far below Lua's stack.
local plain, added, removed = {}, {}, {}
for n = 1, writes do
  local at, expiry, value = tonumber(ARGV[arg + 1]), ARGV[arg + 2], ARGV[arg + 3]
  local name = KEYS[key + n]
  arg = arg + 3
  if expiry == '-' then
    redis.call('UNLINK', name)
  elseif expiry == '' then
    plain[#plain + 1] = name
    plain[#plain + 1] = value
    if #plain == 200 then
      redis.call('MSET', unpack(plain))
      plain = {}
    end
  else
    redis.call('SET', name, value, 'PXAT', expiry)
  end
  if at > 0 then
    -- 'v|view|key' beside 'i|view': as long as each other up to the key.
    local member = string.sub(name, #KEYS[3 + at] + 2)
    local changes = added
    if expiry == '-' then changes = removed end
    local list = changes[at]
    if not list then
      list = {}
      changes[at] = list
    end
    if changes == added then list[#list + 1] = 0 end
    list[#list + 1] = member
    if #list >= 200 then
      redis.call(changes == added and 'ZADD' or 'ZREM', KEYS[3 + at], unpack(list))
      changes[at] = {}
    end
  end
end
if #plain > 0 then redis.call('MSET', unpack(plain)) end
for at = 1, touched do
  local index = KEYS[3 + at]
  if added[at] then
    redis.call('SADD', KEYS[3], string.sub(index, #ARGV[12] + 3))
    if #added[at] > 0 then redis.call('ZADD', index, unpack(added[at])) end
  end
  if removed[at] and #removed[at] > 0 then redis.call('ZREM', index, unpack(removed[at])) end
end

-- An outbox's ids are drawn at once: each call from Lua costs more than the command itself.
local counts, last = {}, {}
for n = 1, entries do
  local at = ARGV[arg + 3 * n - 2]
  counts[at] = (counts[at] or 0) + 1
end
for at, count in pairs(counts) do
  local outbox = string.sub(KEYS[3 + tonumber(at)], #ARGV[12] + 3)
  last[at] = redis.call('HINCRBY', facts, 'o|' .. outbox, count) - count
  redis.call('PUBLISH', ARGV[11], outbox)
end
for _ = 1, entries do
  local at = ARGV[arg + 1]
  last[at] = last[at] + 1
  redis.call('XADD', KEYS[3 + tonumber(at)], string.format('%.0f-0', last[at]), ARGV[arg + 2], ARGV[arg + 3])
  arg = arg + 3
end
return {0}
