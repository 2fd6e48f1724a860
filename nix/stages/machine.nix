# The prod machine on either engine: `machine` before its first instruction, `snapshot` at the
# instant its app is healthy. Output: as vcr/sandbox/prod_machine.py and cartesi.py say. And
# `samples` of the way between them, for `vcr perf record --boot`: vcr/sandbox/sampled.py.
{ toolchain, plan, sandbox, squashfs, kernel, ... }:
let
  inherit (plan.machine) engine;
  given = {
    inherit (plan) name;
    inherit (plan.machine) memory_mib;
    squashfs = "${squashfs}/root.squashfs";
  };

  onQemu = step0: {
    module = "prod_machine";
    job = onQemuJob // { inherit step0; };
  };
  onQemuJob = given // {
    inherit (plan) epoch;
    inherit (plan.machine) debug ports;
    inherit (import ../lib/qemu.nix { inherit toolchain; } plan.arch) qemu data firmware;
    kernel = "${kernel}/kernel";
    initramfs = "${kernel}/initramfs";
    debian = plan.machine.kernel == "debian";
  };

  inherit (toolchain) emulator;
  own = plan.machine.emulator;
  ownKernel = plan.machine.emulator_kernel;
  onCartesi = step0: {
    module = "cartesi";
    job = given // {
      health =
        if plan.machine.health == null then
          null
        else
          { inherit (plan.machine.health) start_period interval retries; };
      kernel = emulator.kernel ownKernel;
      healthy = step0 != "";
      emulator = emulator.emulator own;
      package = emulator.package own;
      pinned = own == "" && ownKernel == "";
      tools = toolchain.cartesi;
      libraries = "${toolchain.cartesi}/usr/lib/${toolchain.platform.triplet}";
    };
  };

  build =
    name: step0:
    sandbox.build (
      { name = "vcr-${name}-${plan.name}"; }
      // { qemu = onQemu; cartesi = onCartesi; }.${engine} step0
    );
in
rec {
  machine = build "machine" "";
  snapshot = build "snapshot" "${machine}";
  samples = sandbox.build {
    name = "vcr-samples-${plan.name}";
    module = "sampled";
    job = onQemuJob // {
      step0 = "${machine}";
      plugin = "${toolchain.plugin}/samples.so";
    };
  };
}
