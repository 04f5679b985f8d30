-- A page of an indexed view, in byte order. Entries of the index whose value expired are dropped on the way.
--
-- KEYS: 1 the index. ARGV: 1 what the keys of values begin with · 2, 3 first and last of the range, as ZRANGEBYLEX
-- writes them · 4 entries looked at, at most.
-- Answers {looked at, last key looked at, key, value, ms of expiry or -1, key, …}.
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local page, gone = {#members, members[#members] or ''}, {}
for _, member in ipairs(members) do
  local name = ARGV[1] .. member
  local value = redis.call('GET', name)
  if value then
    page[#page + 1] = member
    page[#page + 1] = value
    page[#page + 1] = redis.call('PEXPIRETIME', name)
  else
    gone[#gone + 1] = member
  end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return page
