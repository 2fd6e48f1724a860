# The sealed snapshot. Output: drive (squashfs and its dm-verity tree), verity.json, rungs.json.
{ toolchain, plan, sandbox, snapshot, ... }:
sandbox.build {
  name = "vcr-seal-${plan.name}";
  module = "seal";
  job = {
    inherit (plan) epoch;
    inherit snapshot;
    mksquashfs = "${toolchain.build}/usr/bin/mksquashfs";
    veritysetup = "${toolchain.build}/usr/sbin/veritysetup";
  };
}
