-- Drops entries of an index whose values expired.
--
-- KEYS: 1 the index. ARGV: 1 what the keys of values begin with · 2 start of the range, as ZRANGEBYLEX writes it ·
-- 3 entries looked at, at most. Answers {looked at, dropped, last key looked at}.
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local gone = {}
for _, member in ipairs(members) do
  if redis.call('EXISTS', ARGV[1] .. member) == 0 then gone[#gone + 1] = member end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return {#members, #gone, members[#members] or ''}
