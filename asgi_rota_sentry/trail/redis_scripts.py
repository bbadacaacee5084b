"""What is done in Redis, each in one step.

`c:<hash>` names the story of a session cookie: `i<id>` when a response is known to have set it, `n<id>` when so far
requests came with it, `-` when two visitors were given the same one. `s:<id>` is the list of a story's requests,
`o:<id>` whose it is. All expire with the story.

Two processes may come in either order: a request with a new cookie may be noted before the response that set it.
"""

# KEYS: the cookie. ARGV: prefix, ID for a new story, owner ("" for none), milliseconds, requests, the request.
NOTE = """
local name = redis.call('GET', KEYS[1]) or ('n' .. ARGV[2])
if name == '-' then return 0 end
local story, owned = ARGV[1] .. 's:' .. string.sub(name, 2), ARGV[1] .. 'o:' .. string.sub(name, 2)
if ARGV[3] ~= '' then
  local before = redis.call('GET', owned)
  if before and before ~= ARGV[3] then redis.call('DEL', story) end
  redis.call('SET', owned, ARGV[3])
end
redis.call('RPUSH', story, ARGV[6])
redis.call('LTRIM', story, -tonumber(ARGV[5]), -1)
redis.call('SET', KEYS[1], name, 'PX', ARGV[4])
redis.call('PEXPIRE', story, ARGV[4])
redis.call('PEXPIRE', owned, ARGV[4])
return 1
"""

# KEYS: the new cookie, the old one if there was one. ARGV: prefix, ID for a new story, "", milliseconds.
RENEW = """
local function set(key, value) redis.call('SET', key, value, 'PX', ARGV[4]) end
local mine, known = KEYS[2] and redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
local unknown = KEYS[2] and not mine
if mine == '-' then mine = false end
if not known then
  local id = mine and string.sub(mine, 2) or ARGV[2]
  set(KEYS[1], 'i' .. id)
  if unknown then set(KEYS[2], 'n' .. id) end
  return 1
end
local id = string.sub(known, 2)
if known == '-' or (mine and string.sub(mine, 2) == id) then return 1 end
if string.sub(known, 1, 1) == 'i' then set(KEYS[1], '-') return 1 end
set(KEYS[1], 'i' .. id)
if not mine then return 1 end
local from = string.sub(mine, 2)
local owner, before = redis.call('GET', ARGV[1] .. 'o:' .. id), redis.call('GET', ARGV[1] .. 'o:' .. from)
if owner and before and owner ~= before then return 1 end
local earlier = redis.call('LRANGE', ARGV[1] .. 's:' .. from, 0, -1)
for index = #earlier, 1, -1 do redis.call('LPUSH', ARGV[1] .. 's:' .. id, earlier[index]) end
redis.call('PEXPIRE', ARGV[1] .. 's:' .. id, ARGV[4])
if before then set(ARGV[1] .. 'o:' .. id, before) end
set(KEYS[2], 'i' .. id)
return 1
"""

# KEYS: the cookie. ARGV: prefix.
FORGET = """
local name = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if name and name ~= '-' then
  redis.call('DEL', ARGV[1] .. 's:' .. string.sub(name, 2), ARGV[1] .. 'o:' .. string.sub(name, 2))
end
return 1
"""

# KEYS: the cookie. ARGV: prefix. Returns the owner ("" for none), then the requests.
READ = """
local name = redis.call('GET', KEYS[1])
if not name or name == '-' then return {''} end
local found = redis.call('LRANGE', ARGV[1] .. 's:' .. string.sub(name, 2), 0, -1)
table.insert(found, 1, redis.call('GET', ARGV[1] .. 'o:' .. string.sub(name, 2)) or '')
return found
"""
