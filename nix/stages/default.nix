# The stages of a plan. Each is a function of the plan and of earlier stages only.
{ toolchain, plan }:
let
  sandbox = import ../lib/sandbox.nix { inherit toolchain; };
  # Files of guest/, each by itself: changing one rebuilds only what uses it.
  guest = file: builtins.path { path = ../../guest + "/${file}"; name = file; };
  given = { inherit toolchain plan sandbox guest; };
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
