-- What is answered to a call from outside: the status, these headers, the body, and nothing else. "whose" answer it is stands in a line above: a
-- product's at the gateway, or a gateway's at the sidecar.
--
-- A redirect leads inside, and an error text tells how it looks there: such answers are marked, and the gateway's own problem is sent instead. The mark
-- comes first and goes last. So an error of this script loses an answer and lets none through as it was.

local mark = "x-isogate-failed"

local kept = {
  [":status"] = true, ["content-type"] = true, ["content-length"] = true, ["content-encoding"] = true, ["etag"] = true,
  ["last-modified"] = true, ["retry-after"] = true, [mark] = true,
}

-- A gateway's refusals challenge, and its failures are problems of its own, which say why; to who sends gRPC, Envoy says both in these two.
for _, name in ipairs({"www-authenticate", "grpc-status", "grpc-message"}) do kept[name] = whose == "gateway" end

-- 304 answers if-none-match. What is no status of RFC 9110 section 15 is an error too.
local function stands(status)
  return status >= 200 and status < 300 or status == 304 or status >= 400 and status < (whose == "gateway" and 600 or 500)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = tonumber(headers:get(":status")) or 0
  headers:replace(mark, status == 503 and "503" or "502")
  local removed = {}
  for name, _ in pairs(headers) do
    if not kept[name] then removed[#removed + 1] = name end
  end
  for _, name in ipairs(removed) do headers:remove(name) end
  headers:replace("cache-control", "no-store")
  if stands(status) then headers:remove(mark) end
end
