# The kernel and an initramfs that mounts the root. Independent of the app.
# Output: as of nix/lib/kernel.nix.
{ toolchain, plan, sandbox, guest, ... }:
let
  # What [machine] says is about riscv64; others have the kernel of their build machines.
  kernel = if plan.arch == "riscv64" then plan.machine.kernel else toolchain.kernelOf plan.arch;
in
import ../lib/kernel.nix { inherit toolchain sandbox; } {
  name = "vcr-kernel-${kernel}";
  inherit (plan) arch;
  inherit kernel;
  init = guest "initramfs";
  shell = true;
  modules = [
    "virtio_pci"
    "virtio_blk"
    "virtio_net"
    "virtio_console"
    "virtio_rng"
    "loop"
    "squashfs"
    "overlay"
  ];
}
