# What a build machine of an architecture is made of: `machine` of vcr/sandbox/build_machine.py.
{ toolchain, sandbox }:
arch:
let
  kind = toolchain.boards.${arch}.kernel;
  kernel = import ./kernel.nix { inherit toolchain sandbox; } {
    name = "vcr-build-machine-${arch}";
    inherit arch;
    kernel = kind;
    init = "${toolchain.step arch}/step";
    shell = false;
    modules = [ "virtio_pci" "virtio_console" "loop" "squashfs" "overlay" ];
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
