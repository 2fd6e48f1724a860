# What a build machine of an architecture is made of: `machine` of vcr/sandbox/build_machine.py.
# With `shell` it opens one where a step has ended, on a terminal of the host.
{ toolchain, sandbox, shell ? false }:
arch:
let
  kind = "vcr";
  kernel = import ./kernel.nix { inherit toolchain sandbox; } {
    name = "vcr-build-machine-${if shell then "shell-" else ""}${arch}";
    inherit arch;
    kernel = kind;
    init = "${(if shell then toolchain.shellStep else toolchain.step) arch}/step";
    busybox = shell;
    modules = [ "virtio_pci" "virtio_console" "nbd" "squashfs" "overlay" ];
  };
  emulator = import ./qemu.nix { inherit toolchain; } arch;
in
{
  inherit arch;
  debian = kind == "debian";
  inherit (emulator) qemu data firmware;
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
}
