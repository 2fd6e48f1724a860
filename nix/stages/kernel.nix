# The kernel and an initramfs that mounts the root. Independent of the app.
# Output: as of nix/lib/kernel.nix.
{ toolchain, plan, sandbox, guest, ... }:
import ../lib/kernel.nix { inherit toolchain sandbox; } {
  name = "vcr-kernel-${plan.machine.kernel}";
  arch = "riscv64";
  inherit (plan.machine) kernel;
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
