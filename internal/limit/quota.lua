-- Decides about one more request of a caller as audit.Quota.Slide does, and
-- counts it if it is let through, in one step for all instances.
-- KEYS[1]  a hash: slot, the number of the slot that was counted in last;
--          current and previous, how many were let through in it and before it
-- ARGV     requests, window in microseconds: their product is below 2^53, so
--          that all numbers here are exact
-- Returns  current and previous without this request, microseconds since the
--          slot began
local requests, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local slot = math.floor(now / window)

local held = redis.call('HMGET', KEYS[1], 'slot', 'current', 'previous')
local was, current, previous = tonumber(held[1] or -1), tonumber(held[2] or 0), tonumber(held[3] or 0)
if was == slot + 1 then -- another Redis took over whose clock is behind: the slot has just begun
  slot = was
elseif was == slot - 1 then
  previous = current
  current = 0
elseif was ~= slot then
  current, previous = 0, 0
end

local elapsed = math.max(0, now - slot * window)
if current + math.floor(previous * (window - elapsed) / window) < requests then
  redis.call('HSET', KEYS[1], 'slot', string.format('%.0f', slot),
    'current', string.format('%.0f', current + 1), 'previous', string.format('%.0f', previous))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(((slot + 2) * window - now) / 1000)))
end
return {current, previous, elapsed}
