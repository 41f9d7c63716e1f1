-- A product or service may not set a cookie whose name begins with __Host-isogate: it could put a session of its own making into a person's browser.
-- Nor may it send headers with which Envoy is steered, or that carry our identity headers back out, or that clear the cookies of its whole domain:
-- browsers take the sessions of all its neighbours with them.

local function ours(line)
  -- RFC 6265bis section 5.6: white space around the name does not count, and "=name=value" is sent back as "name=value". Quotes are no part of
  -- the grammar, but some readers drop them. Upper and lower case are one: browsers compare the __Host- prefix so.
  local name = string.lower(string.gsub(line, '^[%s%c="]+', ''))
  return string.sub(name, 1, 14) == "__host-isogate"
end

local function steers(name)
  return string.sub(name, 1, 8) == "x-envoy-" or string.sub(name, 1, 14) == "x-user-context"
    or string.sub(name, 1, 11) == "x-isolated-" or string.sub(name, 1, 9) == "x-isogate"
end

local function clears(headers)
  for i = 1, headers:getNumValues("clear-site-data") do
    local value = string.lower(headers:getAtIndex("clear-site-data", i - 1))
    if string.find(value, "cookies", 1, true) or string.find(value, "*", 1, true) then return true end
  end
  return false
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local removed = {}
  for name, _ in pairs(headers) do
    if steers(name) then removed[#removed + 1] = name end
  end
  for _, name in ipairs(removed) do headers:remove(name) end
  if clears(headers) then headers:remove("clear-site-data") end

  local lines = {}
  for i = 1, headers:getNumValues("set-cookie") do
    lines[i] = headers:getAtIndex("set-cookie", i - 1)
  end
  if #lines == 0 then return end
  -- Remove all, then add the harmless ones: an error in between loses cookies and lets none through.
  headers:remove("set-cookie")
  for _, line in ipairs(lines) do
    if not ours(line) then headers:add("set-cookie", line) end
  end
end
