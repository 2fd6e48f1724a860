# What emulates a machine of an architecture: store paths of QEMU, its directory of firmware, and
# the firmware it starts with ("" for a kernel that is started directly).
{ toolchain }:
arch:
let
  qemu = {
    riscv64 = {
      set = toolchain.qemu-riscv;
      program = "riscv64";
      firmware = "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
    };
    amd64 = {
      set = toolchain.qemu-x86;
      program = "x86_64";
      firmware = "usr/share/qemu/qboot.rom";
    };
    arm64 = {
      set = toolchain.qemu-arm;
      program = "aarch64";
      firmware = null;
    };
  }.${arch};
in
{
  qemu = "${qemu.set}/usr/bin/qemu-system-${qemu.program}";
  data = "${qemu.set}/usr/share/qemu";
  firmware = if qemu.firmware == null then "" else "${qemu.set}/${qemu.firmware}";
}
