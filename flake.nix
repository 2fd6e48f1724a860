{
  description = "vcr, the verifiable container runner";

  # The toolchain is pinned under nix/pins; there is nothing to lock here.
  inputs = { };

  outputs =
    { self }:
    let
      each =
        f:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = f (import ./nix { inherit system; });
          }) [ "x86_64-linux" "aarch64-linux" ]
        );
    in
    {
      packages = each (p: p.emulators // {
        inherit (p) vcr busybox linuxkit python build git go nbd oci shell test verify;
        inherit (p) kernel-build;
        default = p.vcr;
      });
      apps = each (p: rec {
        vcr = { type = "app"; program = "${p.vcr}/bin/vcr"; };
        default = vcr;
      });
      checks = each (p: p.checks);
      devShells = each (p: { default = p.devShell; });
    };
}
