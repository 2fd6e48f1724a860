# What it takes to run an enclave image on any host: stock QEMU, and a server for its drive.
# Output: vm.json, as that of vm.nix; it keeps what it names alive.
{ toolchain, plan, enclave, seal, ... }:
let
  inherit (toolchain.platform) arch;
  qemu = { amd64 = toolchain.qemu-x86; arm64 = toolchain.qemu-arm; }.${arch};
  program = { amd64 = "x86_64"; arm64 = "aarch64"; }.${arch};
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-emulation-${plan.name}" {
  kind = "enclave";
  inherit (plan) name;
  image = "${enclave}/enclave.eif";
  drive = "${seal}/drive";
  verity = "${seal}/verity.json";
  nbdkit = "${toolchain.nbd}";
  qemu = "${qemu}/usr/bin/qemu-system-${program}";
  qemu_data = "${qemu}/usr/share/qemu";
  inherit (plan.machine) health ports;
}
