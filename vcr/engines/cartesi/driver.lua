-- Holds the Cartesi machine stored in ARG 1 and goes on from there, a message at a time.
-- What is written on its console is appended to the file ARG 2: stdout has the frames.
-- In, on stdin: length (4 bytes, big-endian) and a message for the machine.
-- Out, on stdout: length and one of
--   R data   something the machine reports
--   E        it is done with the message
--   H text   it ended, or stopped for another reason
--   F hash   its final hash, when stdin was closed
local cartesi = require("cartesi")

local function write_frame(kind, data)
  io.stdout:write(string.pack(">I4", #data + 1), kind, data)
  io.stdout:flush()
end

local function read_message()
  local head = io.stdin:read(4)
  if not head or #head < 4 then
    return nil
  end
  local length = string.unpack(">I4", head)
  return length == 0 and "" or io.stdin:read(length)
end

-- Runs to the next manual yield; reports go out as they come.
local function run(machine)
  while true do
    local reason = machine:run()
    if reason == cartesi.BREAK_REASON_YIELDED_MANUALLY then
      local _, why = machine:receive_cmio_request()
      return why == cartesi.HTIF_YIELD_MANUAL_REASON_RX_ACCEPTED, "it raised an exception"
    elseif reason == cartesi.BREAK_REASON_YIELDED_AUTOMATICALLY then
      local _, why, data = machine:receive_cmio_request()
      if why == cartesi.HTIF_YIELD_AUTOMATIC_REASON_TX_REPORT then
        write_frame("R", data)
      end
    elseif reason ~= cartesi.BREAK_REASON_YIELDED_SOFTLY then
      return false, "it halted"
    end
  end
end

local machine = cartesi.new():load(arg[1], {
  console = { output_destination = "to_file", output_filename = arg[2] },
})
while true do
  local message = read_message()
  if not message then
    break
  end
  machine:send_cmio_response(cartesi.HTIF_YIELD_REASON_ADVANCE_STATE, message, machine:get_root_hash())
  local is_parked, why = run(machine)
  if not is_parked then
    write_frame("H", why)
    os.exit(1)
  end
  write_frame("E", "")
end
write_frame("F", machine:get_root_hash())
