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
  qemu = {
    riscv64 = {
      set = toolchain.qemu-riscv;
      program = "riscv64";
      firmware = "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
    };
    amd64 = {
      set = toolchain.qemu-x86;
      program = "x86_64";
      firmware = "usr/share/qemu/qboot.rom";
    };
    arm64 = {
      set = toolchain.qemu-arm;
      program = "aarch64";
      firmware = null; # the kernel is started directly
    };
  }.${arch};
in
{
  inherit arch debian;
  qemu = "${qemu.set}/usr/bin/qemu-system-${qemu.program}";
  data = "${qemu.set}/usr/share/qemu";
  firmware = if qemu.firmware == null then "" else "${qemu.set}/${qemu.firmware}";
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
}
