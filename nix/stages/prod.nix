# What it takes to go on from a sealed snapshot. Output: vm.json, as that of vm.nix; it
# keeps what it names alive.
{ toolchain, plan, seal, ... }:
let
  qemu = toolchain.qemu-riscv;
in
toolchain.run {
  name = "vcr-prod-${plan.name}";
  vm = builtins.toJSON {
    schema = 1;
    kind = "snapshot";
    inherit (plan) name;
    qemu = "${qemu}/usr/bin/qemu-system-riscv64";
    qemu_data = "${qemu}/usr/share/qemu";
    drive = "${seal}/drive";
    verity = "${seal}/verity.json";
    unsquashfs = "${toolchain.build}/usr/bin/unsquashfs";
    inherit (plan.machine) health ports;
  };
  passAsFile = [ "vm" ];
} ''
  mkdir $out
  cp $vmPath $out/vm.json
''
