# What emulates a machine of an architecture: store paths of QEMU, its directory of firmware, and
# the firmware it starts with ("" for a kernel that is started directly). By vcr/model/board.json.
{ toolchain }:
arch:
let
  board = toolchain.boards.${arch};
  set = toolchain.${board.toolset};
in
{
  inherit set;
  qemu = "${set}/usr/bin/${board.program}";
  data = "${set}/usr/share/qemu";
  firmware = if board.firmware == "" then "" else "${set}/${board.firmware}";
}
