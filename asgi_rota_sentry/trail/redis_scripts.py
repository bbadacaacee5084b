"""What is done in Redis, each in one step.

`c:<hash>` names the story of a session cookie (its ID, or `-` where two visitors were given the same cookie), `s:<id>`
is the list of a story's requests, `o:<id>` whose it is. All expire with the story.
"""

# KEYS: the cookie. ARGV: prefix, ID for a new story, owner ("" for none), milliseconds, requests, the request.
NOTE = """
local id = redis.call('GET', KEYS[1]) or ARGV[2]
if id == '-' then return 0 end
local story, owned = ARGV[1] .. 's:' .. id, ARGV[1] .. 'o:' .. id
if ARGV[3] ~= '' then
  local before = redis.call('GET', owned)
  if before and before ~= ARGV[3] then redis.call('DEL', story) end
  redis.call('SET', owned, ARGV[3])
end
redis.call('RPUSH', story, ARGV[6])
redis.call('LTRIM', story, -tonumber(ARGV[5]), -1)
redis.call('SET', KEYS[1], id, 'PX', ARGV[4])
redis.call('PEXPIRE', story, ARGV[4])
redis.call('PEXPIRE', owned, ARGV[4])
return 1
"""

# KEYS: the new cookie, the old one if there was one. ARGV: prefix, ID for a new story, "", milliseconds.
RENEW = """
local id = KEYS[2] and redis.call('GET', KEYS[2])
if not id or id == '-' then id = ARGV[2] end
local known = redis.call('GET', KEYS[1])
if known and known ~= id then id = '-' end
redis.call('SET', KEYS[1], id, 'PX', ARGV[4])
return 1
"""

# KEYS: the cookie. ARGV: prefix.
FORGET = """
local id = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
if id and id ~= '-' then redis.call('DEL', ARGV[1] .. 's:' .. id, ARGV[1] .. 'o:' .. id) end
return 1
"""

# KEYS: the cookie. ARGV: prefix. Returns the owner ("" for none), then the requests.
READ = """
local id = redis.call('GET', KEYS[1])
if not id or id == '-' then return {''} end
local found = redis.call('LRANGE', ARGV[1] .. 's:' .. id, 0, -1)
table.insert(found, 1, redis.call('GET', ARGV[1] .. 'o:' .. id) or '')
return found
"""
