# What a build machine of an architecture is made of: `machine` of vcr/sandbox/vm.py.
{ toolchain, sandbox }:
arch:
let
  inherit (toolchain) pins;
  step = toolchain.step arch;
  image = builtins.head (builtins.filter (name: builtins.match "linux-image-[0-9].*" name != null) (
    pins.members arch "kernel"
  ));
  kernel = sandbox.build {
    name = "vcr-machine-${arch}";
    module = "kernel";
    modules = [ "chmod" "cpio" "debs" "match" "modules" ];
    job = {
      kernel_deb = pins.deb arch image;
      busybox_deb = "";
      init = "${step}/step";
      epoch = 0; # the same for every project
      modules = [ "virtio_pci" "virtio_console" "loop" "squashfs" "overlay" ];
    };
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
  inherit arch;
  qemu = "${qemu.set}/usr/bin/qemu-system-${qemu.program}";
  data = "${qemu.set}/usr/share/qemu";
  firmware = if qemu.firmware == null then "" else "${qemu.set}/${qemu.firmware}";
  kernel = "${kernel}/kernel";
  initramfs = "${kernel}/initramfs";
}
