-- Takes places for calls that begin now, in one step for all instances.
-- KEYS[1]  a hash: how many calls began in each slot of time, by the slot's
--          number; and closed, since, lowered as in pace.go
-- ARGV     the bound, slots that make the span, a slot's milliseconds, places
--          wanted, milliseconds of quiet that a refusal asked for (0: none),
--          full share, milliseconds: rise after, forget after;
--          then pairs of age in slots and number of calls begun out of sight
-- Returns  places taken, milliseconds until one is free again when fewer than
--          wanted were, sixteenths lacking, milliseconds that it stays closed.
--
-- A slot counts until the span after its end is over, so that slots make the
-- span longer by less than one of them and never shorter.
local n, slots, width, want, quiet = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local full, rise, forget = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local current = math.floor(now / width)

local state = {closed = 0, since = 0, lowered = 0}
local begun, total, changed = {}, 0, false -- begun by age in slots

local function begin(age, calls)
  begun[age] = (begun[age] or 0) + calls
  total = total + calls
end

local function write(age, calls)
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current - age), string.format('%.0f', calls))
  changed = true
end

local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local slot, value = tonumber(held[i]), tonumber(held[i + 1])
  if not slot then
    state[held[i]] = value
  elseif slot > current then -- the clock was set back
    redis.call('HDEL', KEYS[1], held[i])
    begin(0, value)
    write(0, value)
  elseif slot < current - slots then
    redis.call('HDEL', KEYS[1], held[i])
  else
    begin(current - slot, value)
  end
end
for i = 9, #ARGV, 2 do
  local age, calls = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  begin(age, calls)
  write(age, calls)
end

local lacks = state.lowered
if lacks > 0 and now > state.since then
  lacks = math.max(0, lacks - math.floor((now - state.since) / rise))
end
if quiet > 0 then
  if now >= state.closed and (lacks > 0 or now - state.closed < forget) then
    lacks = full - math.max(1, math.floor((full - lacks) / 2))
  end
  state.closed = math.max(state.closed, now + quiet)
  redis.call('HSET', KEYS[1], 'closed', string.format('%.0f', state.closed),
    'since', string.format('%.0f', state.closed), 'lowered', string.format('%.0f', lacks))
  changed = true
end

local closed = math.max(0, state.closed - now)
local bound = math.max(1, math.floor(n * (full - lacks) / full))
local taken, wait = 0, closed
if closed == 0 then
  taken = math.max(0, math.min(want, bound - total))
  if taken > 0 then
    begin(0, taken)
    write(0, taken)
  end
  if taken < want then
    local left = total
    for age = slots, 0, -1 do
      left = left - (begun[age] or 0)
      if left < bound then
        wait = (current - age + slots + 1) * width - now
        break
      end
    end
  end
end
if changed then -- it is worth keeping until the share is whole and the last refusal forgotten
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', closed + (slots + 1) * width + full * rise + forget))
end
return {taken, wait, lacks, closed}
