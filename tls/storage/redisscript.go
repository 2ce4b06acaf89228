package storage

import "github.com/redis/go-redis/v9"

// The value of a key is a hash: value, modified (microseconds). All keys are in
// one sorted set, ordered by their bytes, so that what is below a directory is a
// range from "dir/" to before "dir0", the character after the slash. Scripts
// change both at once. They are values that never change.
const below = `
local function below(index, key, n)
	return redis.call('ZRANGEBYLEX', index, '[' .. key .. '/', '(' .. key .. '0', 'LIMIT', 0, n)
end
`

// scripts are what the server runs; see each for KEYS and ARGV.
type scripts struct {
	store, load, stat, remove, members, children *redis.Script
	acquire, renew, release                      *redis.Script
}

func newScripts() scripts {
	return scripts{
		// value, index; key, value, directories above the key. 1, or 0 for a conflict.
		store: redis.NewScript(below + `
if #below(KEYS[2], ARGV[1], 1) > 0 then return 0 end
for i = 3, #ARGV do
	if redis.call('ZSCORE', KEYS[2], ARGV[i]) then return 0 end
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'modified', t[1] .. string.format('%06d', tonumber(t[2])))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1`),

		// value; limit. The value, or its size when that is above the limit.
		load: redis.NewScript(`
local n = redis.call('HSTRLEN', KEYS[1], 'value')
if n > tonumber(ARGV[1]) then return n end
return redis.call('HGET', KEYS[1], 'value')`),

		// value, index; key. Size and time; size -1 for a directory.
		stat: redis.NewScript(below + `
local m = redis.call('HGET', KEYS[1], 'modified')
if m then return {redis.call('HSTRLEN', KEYS[1], 'value'), m} end
if #below(KEYS[2], ARGV[1], 1) > 0 then return {-1, '0'} end
return false`),

		// value, index; key, prefix of values, limit. How many were below the key.
		remove: redis.NewScript(below + `
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local keys = below(KEYS[2], ARGV[1], ARGV[3])
for _, key in ipairs(keys) do
	redis.call('DEL', ARGV[2] .. key)
	redis.call('ZREM', KEYS[2], key)
end
return #keys`),

		// index; from, to, limit.
		members: redis.NewScript(`
return redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])`),

		// index; from, to, length of the directory with its slash, limit. Where to
		// go on from, then names: a child directory is jumped over, not read.
		children: redis.NewScript(`
local from, skip, limit = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {''}
while #out <= limit do
	local key = redis.call('ZRANGEBYLEX', KEYS[1], from, ARGV[2], 'LIMIT', 0, 1)[1]
	if not key then break end
	local slash = string.find(key, '/', skip + 1, true)
	if slash then
		key = string.sub(key, 1, slash - 1)
		from = '[' .. key .. '0'
	else
		from = '(' .. key
	end
	out[#out + 1] = key
end
out[1] = from
return out`),

		// lock; token, milliseconds. Asking twice with one token is asking once.
		acquire: redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0`),

		// lock; token, milliseconds.
		renew: redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`),

		// lock; token. 1, 0 when nobody has the lock, -1 when somebody else has.
		release: redis.NewScript(`
local token = redis.call('GET', KEYS[1])
if not token then return 0 end
if token ~= ARGV[1] then return -1 end
return redis.call('DEL', KEYS[1])`),
	}
}
