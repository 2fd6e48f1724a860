# Debian's riscv64 kernel and an initramfs with what a virtual machine needs.
# Independent of the app. Output: kernel, initramfs, rungs.json.
{ toolchain, sandbox, guest, ... }:
let
  inherit (toolchain) pins;
  image = builtins.head (builtins.filter (name: builtins.match "linux-image-[0-9].*" name != null) (
    pins.members "riscv64" "kernel"
  ));
in
sandbox.build {
  name = "vcr-kernel-${pins.version "riscv64" image}";
  module = "kernel";
  modules = [ "chmod" "cpio" "debs" "match" "modules" ];
  job = {
    kernel_deb = pins.deb "riscv64" image;
    busybox_deb = pins.deb "riscv64" "busybox-static";
    init = guest "initramfs";
    epoch = 0; # the kernel is the same for every project
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
  };
}
