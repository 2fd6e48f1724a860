# The kernel and an initramfs that mounts the root. Independent of the app.
# Output: as of nix/lib/kernel.nix.
{ toolchain, plan, sandbox, guest, ... }:
let
  inherit (plan.machine) kernel;
in
import ../lib/kernel.nix { inherit toolchain sandbox; } {
  name = "vcr-kernel-${kernel}";
  inherit (plan) arch;
  inherit kernel;
  init = guest "initramfs";
  busybox = true;
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
