# Reads nix/pins/*.json: every byte from outside that vcr's toolchain is made of.
{ fetch, boards }:
let
  # Installed, this file lies in the store, and what is read from there would carry
  # the toolchain of the command line as a dependency.
  read = file: builtins.fromJSON (builtins.unsafeDiscardStringContext (builtins.readFile file));
  debian = builtins.mapAttrs (arch: _: read (./pins + "/debian-${arch}.json")) boards;

  # Store names may hold [A-Za-z0-9+._?=-] only.
  storeName = builtins.replaceStrings [ ":" "~" "%" ] [ "." "-" "-" ];

  deb =
    arch: package:
    let
      inherit (debian.${arch}) snapshot;
      pin = debian.${arch}.packages.${package};
    in
    fetch {
      name = storeName (baseNameOf pin.path);
      url = "https://snapshot.debian.org/archive/debian/${snapshot}/${pin.path}";
      hash = pin.sha256;
    };
in
{
  seed = read ./pins/seed.json;
  ruff = read ./pins/ruff.json;
  linuxkit = read ./pins/linuxkit.json;
  cartesi = read ./pins/cartesi.json;
  inherit deb;
  # The .deb files of a named set, as attributes and in order.
  debs = arch: set: map (deb arch) debian.${arch}.sets.${set};
  members = arch: set: debian.${arch}.sets.${set};
  version = arch: package: debian.${arch}.packages.${package}.version;
}
