# What it takes to go on from a sealed snapshot. Output: vm.json, as that of vm.nix; it
# keeps what it names alive.
{ toolchain, plan, seal, kernel, ... }:
let
  emulator = import ../lib/qemu.nix { inherit toolchain; } plan.arch;
  engines = {
    qemu = {
      kind = "snapshot";
      inherit (emulator) qemu;
      qemu_data = emulator.data;
      passt = "${toolchain.container}/usr/bin/passt";
      inherit (plan.machine) debug udp_ports;
      symbols = if plan.machine.debug then "${kernel}" else "";
    };
    cartesi = {
      kind = "cartesi";
      tools = "${toolchain.cartesi}";
      libraries = "${toolchain.cartesi}/usr/lib/${toolchain.platform.triplet}";
      emulator = "${toolchain.emulator.emulator plan.machine.emulator}";
    };
  };
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-prod-${plan.name}" (
  {
    inherit (plan) name;
    drive = "${seal}/drive";
    verity = "${seal}/verity.json";
    unsquashfs = "${toolchain.build}/usr/bin/unsquashfs";
    inherit (plan.machine) health ports;
  }
  // engines.${plan.machine.engine}
)
