# The command line. Output: pages for man in share/man/man1; bin/vcr, which runs the
# package of a second derivation that lays out {vcr,nix,guest,examples} as the repository
# does: the package beside the expressions it evaluates at run time and the examples that
# `vcr create` copies.
{ toolchain }:
let
  source = path: name: builtins.path {
    inherit path name;
    filter = file: _: baseNameOf file != "__pycache__";
  };
  # Without references, its own included (compileall -s): what Nix copies out of a store
  # path keeps the references of that path, and a step's derivation would be another one
  # than a checkout's.
  lib = toolchain.run { name = "vcr-lib"; } ''
    mkdir -p $out
    cp -r ${source ../vcr "vcr-package"} $out/vcr
    cp -r ${source ./. "vcr-nix"} $out/nix
    cp -r ${source ../guest "vcr-guest"} $out/guest
    cp -r ${source ../examples "vcr-examples"} $out/examples
    chmod -R u+w $out/vcr
    ${toolchain.python}/usr/bin/python3 -I -B -m compileall -q -f -j 1 --invalidation-mode unchecked-hash \
      -s $out $out/vcr
  '';
in
toolchain.run { name = "vcr"; } ''
  mkdir -p $out/bin
  cat > $out/bin/vcr <<END
  #!${toolchain.python}/usr/bin/python3 -I
  import sys
  sys.path[:0] = ["${lib}", "${toolchain.attest}/usr/lib/python3/dist-packages"]
  from vcr.cli import main
  main()
  END
  chmod 755 $out/bin/vcr
  HOME=/tmp $out/bin/vcr -q reference man $out/share/man/man1
''
