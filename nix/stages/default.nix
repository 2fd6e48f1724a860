# The stages of a plan. Each is a function of the plan and of earlier stages only.
{ toolchain, plan }:
let
  schema = 1; # PLAN_SCHEMA of vcr/model/plan.py
  given =
    if (plan.schema or null) == schema then
      { inherit toolchain plan sandbox guest; }
    else
      throw "the plan is of schema ${builtins.toJSON (plan.schema or null)}, not ${toString schema}: use vcr and nix/ of one version";
  sandbox = import ../lib/sandbox.nix { inherit toolchain; };
  # Files of guest/, each by itself: changing one rebuilds only what uses it.
  guest = file: builtins.path { path = ../../guest + "/${file}"; name = file; };
in
rec {
  image = import ./image.nix given;
  rootfs = import ./rootfs.nix (given // { inherit image; });
  squashfs = import ./squashfs.nix (given // { inherit rootfs; });
  kernel = import ./kernel.nix given;
  inherit (import ./machine.nix (given // { inherit squashfs kernel; })) machine snapshot samples;
  seal = import ./seal.nix (given // { inherit snapshot; });
  enclave = import ./enclave.nix (given // { inherit seal snapshot; });
  emulation = import ./emulation.nix (given // { inherit enclave seal; });
  prod = import ./prod.nix (given // { inherit seal kernel; });
  container = import ./container.nix (given // { inherit image; });
  vm = import ./vm.nix (given // { inherit squashfs kernel; });
}
