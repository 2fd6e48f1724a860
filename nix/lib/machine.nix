# What a build machine of an architecture is made of: `machine` of vcr/sandbox/vm.py.
{ toolchain, sandbox }:
arch:
let
  # A kernel of ours where there is one that this host can compile.
  debian = arch != "riscv64" && (arch != "amd64" || toolchain.platform.arch != "amd64");
  kernel = import ./kernel.nix { inherit toolchain sandbox; } {
    name = "vcr-machine-${arch}";
    inherit arch;
    kernel = if debian then "debian" else "vcr";
    init = "${toolchain.step arch}/step";
    shell = false;
    modules = [ "virtio_pci" "virtio_console" "loop" "squashfs" "overlay" ];
  };
  emulator = import ./qemu.nix { inherit toolchain; } arch;
in
{
  inherit arch debian;
  inherit (emulator) qemu data firmware;
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
}
