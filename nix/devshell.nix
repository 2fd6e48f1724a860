# `nix develop` without nixpkgs: it wants a derivation whose builder is bash, and
# takes over that derivation's environment.
{ toolchain }:
let
  inherit (toolchain) shell test build git oci qemu-riscv verify busybox;
  tools = [ test build git oci qemu-riscv verify ];
in
derivation {
  name = "vcr-shell";
  inherit (toolchain) system;
  builder = "${shell}/usr/bin/bash";
  outputs = [ "out" ]; # `nix develop` writes the environment to each of $outputs
  args = [ "-c" ''echo "use it with nix develop" > $out'' ];
  PATH = builtins.concatStringsSep ":" (
    builtins.concatMap (t: [ "${t}/usr/bin" "${t}/usr/sbin" ]) (tools ++ [ shell ]) ++ [ "${busybox}/bin" ]
  );
}
