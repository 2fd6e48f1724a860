# What it takes to run the image as a container on this host, for the profile dev.
# Output: vm.json; it keeps crun, pasta and the image alive as its references.
{ toolchain, plan, image, ... }:
let
  tools = toolchain.container;
in
import ../lib/vm-file.nix { inherit toolchain; } "vcr-container-${plan.name}" {
  kind = "container";
  inherit (plan) name;
  inherit (plan.image) config;
  inherit (plan.machine) health ports udp_ports writable;
  crun = "${tools}/usr/bin/crun";
  pasta = "${tools}/usr/bin/pasta";
  layout = "${image}/layout";
}
