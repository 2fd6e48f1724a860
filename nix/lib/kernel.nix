# A kernel for an architecture and the initramfs that goes with it, independent of any app.
# Output: kernel, initramfs, rungs.json and, of our own kernel, System.map and symbols.
#   kernel   "vcr": that of nix/kernel; "debian": Debian's, with `modules`
#   init     file that is /init
#   busybox  whether there is one, such as for an /init that is a script
{ toolchain, sandbox }:
{ name, arch, kernel, init, busybox, modules }:
let
  inherit (toolchain) pins;
  isImage = name: builtins.match "linux-image-[0-9].*" name != null;
  package = builtins.head (builtins.filter isImage (pins.members arch "kernel"));
  isOurs = kernel == "vcr";
in
sandbox.build {
  inherit name;
  module = "kernel";
  job = {
    linux = if isOurs then "${toolchain.kernels.${arch}}" else "";
    kernel_deb = if isOurs then "" else pins.deb arch package;
    busybox_deb = if busybox then pins.deb arch "busybox-static" else "";
    epoch = 0; # the same for every project
    inherit init modules;
  };
}
