# The tools, in sets that are fetched only when something needs them. The package
# lists are in nix/pins/sets.json, what they resolve to in nix/pins/debian-*.json.
{ bootstrap, deb, pins }:
let
  set = name: deb.toolset { inherit name; set = name; };
  ruffWheel = bootstrap.fetch (
    let pin = pins.ruff.${bootstrap.system}; in {
      name = pin.file;
      url = "pypi:${pin.pypi}";  # no canonical address of the file; nix/pins/fill asks pip
      hash = pin.sha256;
      fillFrom = "pypi:${pin.pypi}:${pin.platform}";
    }
  );
in
{
  python = set "python"; # what the command line and the builders run on
  build = set "build"; # squashfs-tools, cryptsetup, compressors
  git = set "git";
  go = set "go"; # compiles linuxkit
  nbd = set "nbd";
  oci = set "oci"; # skopeo, umoci
  qemu-riscv = set "qemu-riscv";
  qemu-x86 = set "qemu-x86";
  qemu-arm = set "qemu-arm";
  shell = set "shell"; # bash, for `nix develop`
  verify = set "verify"; # gpgv and Debian's archive keyring
  # python with what the tests need; ruff's wheel holds one static executable
  test = deb.toolset {
    name = "test";
    set = "test";
    extra = ''
      unzip -q -d /tmp/ruff ${ruffWheel}
      cp /tmp/ruff/ruff-*.data/scripts/ruff usr/bin/ruff
      chmod 755 usr/bin/ruff
      patchelf --no-sort --set-interpreter $out/$ld --force-rpath --set-rpath $out/$lib usr/bin/ruff
    '';
  };
}
