# The stages of a plan. Each is a function of the plan and of earlier stages only.
{ toolchain, plan }:
let
  build = import ../lib/sandbox.nix { inherit toolchain; };
  arguments = { inherit toolchain plan build; };
in
rec {
  image = import ./image.nix arguments;
}
