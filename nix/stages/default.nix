# The stages of a plan. Each is a function of the plan and of earlier stages only.
{ toolchain, plan }:
let
  sandbox = import ../lib/sandbox.nix { inherit toolchain; };
  guest = builtins.path { path = ../../guest; name = "vcr-guest"; };
  given = { inherit toolchain plan sandbox guest; };
in
rec {
  image = import ./image.nix given;
  rootfs = import ./rootfs.nix (given // { inherit image; });
  squashfs = import ./squashfs.nix (given // { inherit rootfs; });
  kernel = import ./kernel.nix given;
  vm = import ./vm.nix (given // { inherit squashfs kernel; });
}
