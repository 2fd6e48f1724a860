# The enclave image: a kernel, the loader with what runs a snapshot, and the verity parameters
# of the sealed drive. Output: enclave.eif, pcrs.json, rungs.json.
{ toolchain, plan, sandbox, seal, snapshot, ... }:
let
  inherit (toolchain.platform) arch;
  inherit (toolchain) pins;
  # Of the machine in it.
  emulator = import ../lib/qemu.nix { inherit toolchain; } plan.arch;
  # The same for every app, so that PCR1 is.
  runtime = sandbox.build {
    name = "vcr-ramdisk-${arch}";
    module = "enclave_ramdisk";
    job = {
      loader = "${toolchain.loader arch}/loader";
      inherit (emulator) qemu data;
      ld = "${emulator.set}/${toolchain.platform.ld}";
    };
  };
in
sandbox.build {
  name = "vcr-enclave-${plan.name}";
  module = "enclave";
  job = {
    inherit (plan) name;
    inherit arch;
    kernel = "${toolchain.kernels.enclave}/kernel";
    kernel_version = pins.version arch (builtins.head (pins.members arch "kernel-source"));
    runtime = "${runtime}/runtime";
    verity = "${seal}/verity.json";
    machine = "${snapshot}/machine.json";
  };
}
