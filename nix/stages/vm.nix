# What it takes to start the machine. Output: vm.json; it keeps QEMU, the firmware,
# the kernel and the root drive alive as its references.
{ toolchain, plan, squashfs, kernel, ... }:
let
  emulator = import ../lib/qemu.nix { inherit toolchain; } plan.arch;
  inherit (toolchain.boards.${plan.arch}) console;
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-vm-${plan.name}" {
  kind = "boot";
  inherit (plan) arch name;
  inherit (emulator) qemu firmware;
  qemu_data = emulator.data;
  passt = "${toolchain.container}/usr/bin/passt";
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
  squashfs = "${squashfs}/root.squashfs";
  symbols = if plan.machine.debug then "${kernel}" else "";
  append = "console=${console} quiet panic=-1";
  inherit (plan.machine) cpus debug health memory_mib ports udp_ports;
}
