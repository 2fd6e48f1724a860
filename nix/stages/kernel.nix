# The kernel and an initramfs that mounts the root. Independent of the app.
# Output: as of nix/lib/kernel.nix.
{ toolchain, plan, sandbox, guest, ... }:
let
  # What [machine] says is about riscv64; others have the kernel of their build machines.
  kernel = {
    riscv64 = plan.machine.kernel;
    amd64 = if toolchain.platform.arch == "amd64" then "vcr" else "debian";
    arm64 = "debian";
  }.${plan.arch};
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
