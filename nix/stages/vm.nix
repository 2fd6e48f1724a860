# What it takes to start the machine. Output: vm.json; it keeps QEMU, the firmware,
# the kernel and the root drive alive as its references.
{ toolchain, plan, squashfs, kernel, ... }:
let
  qemu = toolchain.qemu-riscv;
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-vm-${plan.name}" {
  kind = "boot";
  inherit (plan) name;
  qemu = "${qemu}/usr/bin/qemu-system-riscv64";
  qemu_data = "${qemu}/usr/share/qemu";
  firmware = "${qemu}/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
  squashfs = "${squashfs}/root.squashfs";
  symbols = if plan.machine.debug then "${kernel}" else "";
  append = "console=ttyS0 quiet panic=-1";
  inherit (plan.machine) cpus debug health memory_mib ports;
}
