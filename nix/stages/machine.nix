# The prod machine on QEMU: `machine` before its first instruction, `snapshot` at the
# instant its app is healthy. Output: ram, state, machine.json, console.log, app.log,
# rungs.json.
{ toolchain, plan, sandbox, squashfs, kernel, ... }:
let
  qemu = toolchain.qemu-riscv;
  build =
    name: step0:
    sandbox.build {
      name = "vcr-${name}-${plan.name}";
      module = "prod";
      modules = [ "cpio" "merkle" "migration" "qmp" "vm" ];
      job = {
        inherit (plan) epoch name;
        inherit (plan.machine) memory_mib;
        inherit step0;
        qemu = "${qemu}/usr/bin/qemu-system-riscv64";
        data = "${qemu}/usr/share/qemu";
        firmware = "${qemu}/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
        kernel = "${kernel}/kernel";
        initramfs = "${kernel}/initramfs";
        squashfs = "${squashfs}/root.squashfs";
      };
    };
in
rec {
  machine = build "machine" "";
  snapshot = build "snapshot" "${machine}";
}
