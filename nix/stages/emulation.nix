# What it takes to run an enclave image on any host: stock QEMU, and a server for its drive.
# Output: vm.json, as that of vm.nix; it keeps what it names alive.
{ toolchain, plan, enclave, seal, ... }:
let
  emulator = import ../lib/qemu.nix { inherit toolchain; } toolchain.platform.arch;
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-emulation-${plan.name}" {
  kind = "enclave";
  inherit (plan) name;
  image = "${enclave}/enclave.eif";
  drive = "${seal}/drive";
  verity = "${seal}/verity.json";
  nbdkit = "${toolchain.nbd}";
  inherit (emulator) qemu;
  qemu_data = emulator.data;
  inherit (plan.machine) health ports;
}
