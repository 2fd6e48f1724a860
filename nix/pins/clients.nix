# What pinned clients make, as nix/pins/fill reads it: a line for each output hash,
#   HASH<TAB>CLIENT<TAB>WHAT<TAB>WHERE
# with a path in the package of npm, the platform of a wheel, nothing for a module of Go. It is
# by hash, and is made of nix/pins alone, so that no plan and no lock can name a client.
let
  read = file: builtins.fromJSON (builtins.readFile file);
  seed = read ./seed.json;
  ruff = read ./ruff.json;
  linuxkit = read ./linuxkit.json;
  npm = pin: [ pin.nar "npm" pin.npm pin.path ];
  pypi = pin: [ pin.sha256 "pypi" pin.pypi pin.platform ];
  rows =
    map npm (builtins.attrValues seed.sevenzip)
    ++ map pypi (builtins.attrValues ruff)
    ++ [ [ linuxkit.vendored "go" "${linuxkit.module}@${linuxkit.version}" "-" ] ];
in
builtins.concatStringsSep "" (map (row: builtins.concatStringsSep "\t" row + "\n") rows)
