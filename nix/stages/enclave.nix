# The enclave image: a kernel, the loader with what runs a snapshot, and the verity parameters
# of the sealed drive. Output: enclave.eif, pcrs.json, rungs.json.
{ toolchain, plan, sandbox, seal, snapshot, ... }:
let
  inherit (toolchain.platform) arch;
  inherit (toolchain) pins qemu-riscv;
  # The same for every app, so that PCR1 is.
  runtime = sandbox.build {
    name = "vcr-ramdisk-${arch}";
    module = "enclave_ramdisk";
    job = {
      loader = "${toolchain.loader arch}/loader";
      qemu = "${qemu-riscv}/usr/bin/qemu-system-riscv64";
      data = "${qemu-riscv}/usr/share/qemu";
      ld = "${qemu-riscv}/${toolchain.platform.ld}";
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
